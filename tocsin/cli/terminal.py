"""What a command shows: lines on stdout for people or programs, progress on stderr."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from tocsin.evaluation.tables import Table


def print_json(value: Any) -> None:
    """Print one value as one line of JSON."""
    print_line(json.dumps(value, ensure_ascii=False, default=str))


def print_line(line: str) -> None:
    """Print a line at once; end in peace when nobody reads on, as in `tocsin tail alerts | head`."""
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        end_of_pipe()


def end_of_pipe() -> None:
    """End the command because the reader of its output has gone."""
    # The interpreter flushes stdout once more on its way out, which would fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(0)


def console(*, stderr: bool = False) -> Console:
    """Return a console that wraps no line when its output is not a terminal."""
    from rich.console import Console  # noqa: PLC0415 - start-up time

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table of results; numbers stand to the right."""
    from rich.table import Table as Shown  # noqa: PLC0415 - start-up time

    shown = Shown(title=table.title, title_justify="left")
    for number, column in enumerate(table.columns):
        shown.add_column(column, justify="right" if number else "left")
    for row in table.rows:
        shown.add_row(*row)
    console().print(shown)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar on stderr while something long is done.

    Parameters
    ----------
    what
        What is being done, in a word or two.

    Yields
    ------
    A function to tell how much has been done, and of how much in all (``None`` if nobody knows).

    """
    from rich.progress import (  # noqa: PLC0415 - start-up time
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    screen = console(stderr=True)
    # Where nobody watches, Rich would still leave an empty line.
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield tell


def print_rows(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print rows of text, in which states and severities have their colours."""
    from rich.markup import escape  # noqa: PLC0415 - start-up time
    from rich.table import Table  # noqa: PLC0415 - start-up time

    from tocsin.cli.records import STYLES  # noqa: PLC0415 - start-up time

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"[{STYLES[text]}]{text}[/]" if text in STYLES else escape(text) for text in row))
    console().print(table)
