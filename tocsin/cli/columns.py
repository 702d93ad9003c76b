"""Options that say which column of a file is what; backtest and produce have them in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError

TimeColumn = Annotated[
    str | None,
    typer.Option("--time", help="Column of the time: ISO 8601, epoch s or ms.", metavar="COLUMN"),
]
SourceColumn = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Column that names the source; a file without one is one source, named as the file.",
        metavar="COLUMN",
    ),
]
ValueColumns = Annotated[
    str | None,
    typer.Option(
        "--values",
        help="Columns of the readings, comma-separated; without it every numeric column.",
        metavar="COLUMNS",
    ),
]
ExcludedColumns = Annotated[
    str | None,
    typer.Option(
        "--exclude",
        help="Numeric columns that are no readings, such as labels, comma-separated.",
        metavar="COLUMNS",
    ),
]
IdColumn = Annotated[str | None, typer.Option("--id", help="Column that names the transaction.", metavar="COLUMN")]
AccountColumn = Annotated[str | None, typer.Option("--account", help="Column of who pays.", metavar="COLUMN")]
CounterpartyColumn = Annotated[
    str | None, typer.Option("--counterparty", help="Column of who is paid.", metavar="COLUMN")
]
AmountColumn = Annotated[str | None, typer.Option("--amount", help="Column of the amount.", metavar="COLUMN")]
AttributeColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        help="Column that goes with each transaction as an attribute of its name; may be repeated. Those that"
        " transactions.features go by are found without it.",
        metavar="COLUMN",
    ),
]


def listed(names: str | None) -> tuple[str, ...]:
    """Return the names in a comma-separated list.

    Examples
    --------
    >>> listed("anomaly, changepoint")
    ('anomaly', 'changepoint')

    """
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


def must_exist(*sources: Path) -> None:
    """Raise a ``CommandError`` if a file or folder is not there."""
    for source in sources:
        if not source.exists():
            raise CommandError(f"{source}: there is no such file or folder", WRONG_USAGE)


@contextlib.contextmanager
def readable() -> Iterator[None]:
    """Make what is wrong with a file wrong usage."""
    from streams.tables import TableError  # noqa: PLC0415 - start-up time

    try:
        yield
    except TableError as error:
        raise CommandError(str(error), WRONG_USAGE) from error
