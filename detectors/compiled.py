"""Compiles the detectors' inner loops, and keeps the machine code for the next start."""

from __future__ import annotations

import atexit
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numba.core.config
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def _code_cache() -> Path | None:
    """Return the folder for machine code made of just these sources, ``None`` if there can be none.

    Numba looks at one source file at a time. A function holds code of the others that it calls, so any change
    of any of them must make all of it anew: the folder's name is a digest of them all.
    """
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home) / "tocsin" / f"compiled-{digest.hexdigest()[:16]}"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return _copy(folder) if folder.is_dir() else None


def _copy(folder: Path) -> Path | None:
    """Return a copy of a folder that cannot be written, as in a container: numba reads only where it can write."""
    try:
        copy = Path(tempfile.mkdtemp(prefix="tocsin-compiled-"))
        atexit.register(shutil.rmtree, copy, ignore_errors=True)
        shutil.copytree(folder, copy, dirs_exist_ok=True, copy_function=shutil.copyfile)
        for inside in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
            inside.chmod(0o700)
    except OSError:
        return None
    return copy


CODE_CACHE = _code_cache()
if CODE_CACHE is not None:
    numba.core.config.CACHE_DIR = str(CODE_CACHE)


def compiled(function: Function) -> Function:
    """Compile a function of numbers and arrays when it is first called; ``NUMBA_DISABLE_JIT=1`` leaves it as it is.

    Compiled or not, it gives the same result to the last bit: nothing is reordered.

    Examples
    --------
    >>> @compiled
    ... def double(x: float) -> float:
    ...     return 2.0 * x
    >>> double(1.5)
    3.0

    """
    if numba.core.config.DISABLE_JIT:
        return _plain(function)
    made: Function = numba.njit(cache=CODE_CACHE is not None and "<" not in function.__code__.co_filename)(function)
    return made


def _plain(function: Function) -> Function:
    """Let a function that is not compiled read the fields of records as attributes, as compiled code does."""

    @functools.wraps(function)
    def plain(*given: Any, **named: Any) -> Any:
        return function(*map(_with_attributes, given), **named)

    return plain  # type: ignore[return-value]


def _with_attributes(given: Any) -> Any:
    """Return a view of a record or of an array of records; anything else as it is."""
    if isinstance(given, np.ndarray) and given.dtype.names:
        return given.view(np.recarray)
    if isinstance(given, np.void) and not isinstance(given, np.record):
        return given.view((np.record, given.dtype))
    return given
