"""Plots of a command: whether they can be drawn is known before the work begins."""

from __future__ import annotations

from pathlib import Path

from tocsin.cli.errors import WRONG_USAGE, CommandError


def must_be_drawable(*files: Path | None) -> None:
    """Raise a ``CommandError`` if a plot is wanted and could not be written."""
    wanted = [file for file in files if file is not None]
    if not wanted:
        return
    from tocsin.plotting import PlotError, check_plots  # noqa: PLC0415 - start-up time

    try:
        check_plots(*wanted)
    except PlotError as error:
        raise CommandError(str(error), WRONG_USAGE) from error
