"""Versions of things with a name, as commands apply them."""

from __future__ import annotations

import getpass
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tocsin.cli.errors import CommandError

if TYPE_CHECKING:
    from alerts.versions import Version

V = TypeVar("V", bound="Version")


def newest(known: Sequence[V], name: str, what: str) -> V:
    """Return the newest version of a name, or raise a ``CommandError`` that says what names there are."""
    found = [one for one in known if one.name == name]
    if not found:
        names = ", ".join(sorted({one.name for one in known})) or "none"
        raise CommandError(f"there is no {what} {name!r} (there are: {names})")
    return found[-1]


def following(kind: type[V], known: Sequence[V], name: str, author: str | None, reason: str | None, **said: Any) -> V:
    """Return the version of a name that follows those known; without an author, it is by your login."""
    number = max((one.version for one in known if one.name == name), default=0) + 1
    who = author or getpass.getuser()
    return kind(name=name, version=number, author=who, reason=reason, at=round(time.time(), 3), **said)
