"""A table of results, which a terminal and a page of documentation show alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Table:
    """A title, the names of columns, and rows of cells.

    Examples
    --------
    >>> print(Table("Scores", ("detector", "F1"), [("this", "0.64"), ("another", "–")]).markdown())
    | detector | F1 |
    |---|---:|
    | this | 0.64 |
    | another | – |

    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as Markdown, without its title."""
        ruler = ["---", *("---:" for _ in self.columns[1:])]
        return "\n".join(
            [
                f"| {' | '.join(self.columns)} |",
                f"|{'|'.join(ruler)}|",
                *(f"| {' | '.join(row)} |" for row in self.rows),
            ]
        )


def cell(value: float | None, pattern: str = ".1f") -> str:
    """Return a number as a cell shows it; a dash for none.

    Examples
    --------
    >>> cell(70.104), cell(0.5, ".0%"), cell(float("nan"))
    ('70.1', '50%', '–')

    """
    return "–" if value is None or math.isnan(value) else format(value, pattern)
