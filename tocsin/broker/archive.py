"""An archive of the classes that Kafka loads, from which Java maps them at the next start: it halves that time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from tocsin.broker.distribution import cache, one_at_a_time

DUMP_SECONDS = 60


def shared_classes(java: Sequence[str], run: Callable[[str], None]) -> list[str]:
    """Return the Java option that uses the archive, none if there cannot be one.

    The archive belongs to the machine's cache of fetched jars. It is made at the first call, which takes some seconds.

    Parameters
    ----------
    java
        The command that Kafka is run with: Java, its options and the class path. Another one needs another archive.
    run
        Runs Kafka once, from start to orderly end, with a further Java option.

    """
    if os.environ.get("TOCSIN_KAFKA_JARS"):
        return []
    archive = cache() / f"classes-{hashlib.sha256(os.pathsep.join(java).encode()).hexdigest()[:12]}.jsa"
    with one_at_a_time():
        if not archive.exists():
            _make(archive, java, run)
    return [f"-XX:SharedArchiveFile={archive}"] if archive.stat().st_size else []


def _make(archive: Path, java: Sequence[str], run: Callable[[str], None]) -> None:
    # Both in the cache, not in a temporary folder, which a kill would leave behind.
    classes, made = archive.with_suffix(".classes"), archive.with_suffix(".partial")
    run(f"-XX:DumpLoadedClassList={classes}")
    dump = ["-Xshare:dump", f"-XX:SharedClassListFile={classes}", f"-XX:SharedArchiveFile={made}"]
    with contextlib.suppress(subprocess.SubprocessError, OSError):
        subprocess.run(  # noqa: S603  a command of ours
            [java[0], *dump, *java[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=DUMP_SECONDS,
        )
        made.replace(archive)
    classes.unlink(missing_ok=True)
    if not archive.exists():
        archive.touch()  # this Java cannot: do not try again at each start
