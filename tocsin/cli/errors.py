"""How a command ends: exit code and one line on stderr."""

from __future__ import annotations

import sys
import traceback

import typer

DONE, FAILED, WRONG_USAGE = 0, 1, 2

# Typer carries its own copy of click in some versions and imports it in others; its public BadParameter
# leads to the base classes in both.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
ClickError: type[Exception] = typer.BadParameter.__mro__[2]


class CommandError(Exception):
    """A command cannot do what it was asked; the message says why and what to do.

    Parameters
    ----------
    message
        One line.
    exit_code
        ``FAILED``, or ``WRONG_USAGE`` if the command line or the configuration is at fault.

    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def report(error: BaseException, *, debug: bool) -> int:
    """Tell the user of an error on stderr, and return the exit code.

    Parameters
    ----------
    error
        What ended the command.
    debug
        Whether to show where it happened.

    """
    if debug:
        traceback.print_exception(error)
    for line in _said(error):
        print(f"tocsin: {line}", file=sys.stderr)
    return _code(error)


def _code(error: BaseException) -> int:
    from tocsin.config.located import ConfigurationError  # noqa: PLC0415 - only when something went wrong

    if isinstance(error, CommandError):
        return error.exit_code
    return WRONG_USAGE if isinstance(error, ConfigurationError | ClickError) else FAILED


def _said(error: BaseException) -> list[str]:
    if isinstance(error, ClickError):
        return [_usage(error)]
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return ["interrupted"]
    if isinstance(error, MemoryError):
        return ["out of memory"]
    if _is_ours(error):
        return [_one_line(line) for line in str(error).splitlines()]
    if isinstance(error, OSError) and error.strerror:
        return [_one_line(": ".join(filter(None, (_file_of(error), error.strerror))))]
    name = type(error).__name__
    return [f"unexpected {name}: {_one_line(str(error))}; add --debug to see where it happened"]


def _usage(error: Exception) -> str:
    message = _one_line(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "tocsin"
    return f"{message}; `{path} --help` says what is possible"


def _is_ours(error: BaseException) -> bool:
    # An exception class of our own was raised with a message for the user.
    return type(error).__module__.split(".")[0] in ("tocsin", "streams", "alerts", "detectors")


def _file_of(error: OSError) -> str | None:
    return str(error.filename) if error.filename else None


def _one_line(text: str) -> str:
    return " ".join(text.split())
