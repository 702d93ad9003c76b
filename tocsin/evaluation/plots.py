"""Plots of scored series: what the detector saw, what it said, and what the labels say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tocsin.evaluation.replayed import Flags, Numbers, Replayed
from tocsin.plotting import plot_into

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HARDEST = 6
"""How many series are plotted."""

POINTS = 1_200
"""Points of a line beyond which only the lowest and the highest of each stretch are drawn."""

VALUE, EXPECTED, SCORE, LABEL, ALERT = "#4c566a", "#2e9e6b", "#c1440e", "#f0b429", "#b00020"


def plot_hardest(ranked: Sequence[tuple[Replayed, Flags, str]], folder: Path, count: int = HARDEST) -> list[Path]:
    """Plot the series with the lowest scores, and return where.

    Parameters
    ----------
    ranked
        Scored files, the hardest first, each with its labelled rows and what it got.
    folder
        Where to write the plots, numbered from the hardest.
    count
        How many to plot.

    """
    written = []
    for number, (file, truth, got) in enumerate(ranked[:count], 1):
        name = file.name.rpartition(".")[0].replace("/", "-")
        written.append(folder / f"{number:02}-{name}.svg")
        plot(file, truth, f"{file.name}: {got}", written[-1])
    return written


def plot(file: Replayed, truth: Flags, title: str, target: Path) -> None:
    """Plot one series: its values with what was expected, labelled rows, alerts, and the anomaly score below.

    Parameters
    ----------
    file, truth
        A scored file and its labelled rows.
    title
        Stands above.
    target
        An .svg or .png file.

    """
    times = np.array([datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for time in file.times], "datetime64[ms]")
    several = len(file.values) > 1
    size = (9.0, 2.6 + (0.35 * len(file.values) if several else 1.2))
    with plot_into(target, 2, size, (3.0 + 0.5 * several, 1.0)) as (_, (above, below)):
        above.set_title(title, loc="left")
        _show_values(above, times, file)
        for panel in (above, below):
            for first, last in runs(truth):
                panel.axvspan(times[first], times[last], color=LABEL, alpha=0.25, linewidth=0)
        _show_alerts(above, file)
        _line(below, times, file.anomaly_score, SCORE, "anomaly_score", ends_at=file.alert)
        below.set_ylim(0, 1.02)
        below.set_ylabel("anomaly_score")


def _show_values(panel: Axes, times: Numbers, file: Replayed) -> None:
    if len(file.values) == 1:
        ((name, values),) = file.values.items()
        _line(panel, times, values, VALUE, name)
        _line(panel, times, file.expected, EXPECTED, "expected, where a signal spoke", style=".")
        panel.set_ylabel(name)
        panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, ncols=2, borderpad=0.0)
        return
    for number, (name, values) in enumerate(file.values.items()):
        low, middle, high = np.nanquantile(values, (0.02, 0.5, 0.98))
        _line(panel, times, np.clip((values - middle) / ((high - low) or 1.0), -0.7, 0.7) - number, VALUE, name)
    panel.set_yticks([-number for number in range(len(file.values))], list(file.values))


def _show_alerts(panel: Axes, file: Replayed) -> None:
    """Mark alerts where they fired, each with its kind; a kind that repeats close by is named once."""
    span = (file.times[-1] - file.times[0]) or 1.0
    named = -np.inf
    top = panel.get_ylim()[1]
    for alert in sorted(file.fired, key=lambda alert: alert.updated_at):
        at: Any = datetime.fromtimestamp(alert.updated_at, UTC).replace(tzinfo=None)  # a moment is a place too
        panel.axvline(at, color=ALERT, linewidth=0.7, alpha=0.8)
        if alert.updated_at - named > 0.02 * span:
            panel.annotate(alert.kind, (at, top), color=ALERT, rotation=90, ha="right", va="top")
            named = alert.updated_at


def _line(
    panel: Axes,
    times: Numbers,
    values: Numbers,
    color: str,
    label: str,
    style: str = "-",
    ends_at: Flags | None = None,
) -> None:
    rows = thinned(values)
    panel.plot(times[rows], values[rows], style, color=color, linewidth=0.7, markersize=2, label=label)
    if ends_at is not None:
        for first, last in runs(ends_at):
            panel.axvspan(times[first], times[last], ymax=0.06, color=ALERT, linewidth=0.5)


def thinned(values: Numbers, points: int = POINTS) -> NDArray[np.int_]:
    """Return the rows that a line is drawn through: of each stretch the lowest and the highest value.

    Examples
    --------
    >>> thinned(np.array([0.0, 5.0, 1.0, 1.0, -3.0, 2.0]), 4).tolist()
    [0, 1, 4, 5]

    """
    if len(values) <= points:
        return np.arange(len(values))
    rows: set[int] = set()
    for stretch in np.array_split(np.arange(len(values)), points // 2):
        if not np.isnan(values[stretch]).all():
            rows |= {int(stretch[np.nanargmin(values[stretch])]), int(stretch[np.nanargmax(values[stretch])])}
    return np.array(sorted(rows), int)


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Return first and last row of each run of true ones.

    Examples
    --------
    >>> runs(np.array([False, True, True, False, True]))
    [(1, 2), (4, 4)]

    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(last) - 1) for first, last in zip(edges[::2], edges[1::2], strict=True)]
