"""Plots, where matplotlib is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "tocsin",  # the same plot gives the same bytes
}
ENDINGS = (".svg", ".png")


class PlotError(Exception):
    """A plot cannot be drawn; the message says what to do."""


def check_plots(*files: Path) -> None:
    """Raise a ``PlotError`` if a plot could not be written: before the work, not after it.

    Parameters
    ----------
    files
        Where plots are to go.

    """
    if find_spec("matplotlib") is None:
        raise PlotError("plots need matplotlib: pip install 'tocsin[plots]'")
    for file in files:
        if file.suffix.lower() not in ENDINGS:
            raise PlotError(f"{file}: cannot write {file.suffix or 'a plot without an ending'}; use .svg or .png")


@contextlib.contextmanager
def plot_into(
    file: Path, rows: int = 1, size: tuple[float, float] = (8.0, 3.0), ratios: tuple[float, ...] | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Draw a plot of one or more panels, one above the other, and write it once it is drawn.

    Parameters
    ----------
    file
        Where to write it, as .svg or .png.
    rows
        How many panels; they share the horizontal axis.
    size
        Width and height in inches.
    ratios
        Heights of the panels beside each other.

    Yields
    ------
    The figure and its panels from above.

    """
    check_plots(file)
    from matplotlib import rc_context  # noqa: PLC0415 - only plots need it
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    with rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)  # needs no screen
        grid = figure.subplots(rows, 1, sharex=True, squeeze=False, height_ratios=ratios)
        yield figure, [panel for (panel,) in grid]
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=100, metadata={"Date": None} if file.suffix.lower() == ".svg" else None)
