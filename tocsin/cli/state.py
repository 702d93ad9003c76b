"""`tocsin state`: look at what has been learned, keep it, and go back to it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.columns import must_exist
from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from streams.settings import KafkaSettings
    from tocsin.cli.changelogs import Changelog

app = typer.Typer(
    help="""List, export, restore and roll back what has been learned.

    \b
    Example:
      tocsin state export backups/ --keep 14
      tocsin state rollback backups/ --source pump-7
    """,
    rich_markup_mode=None,
)

Source = Annotated[str | None, typer.Option("--source", help="Only this source of telemetry.")]
Account = Annotated[str | None, typer.Option("--account", help="Only this account of transactions.")]
FromNow = Annotated[
    bool,
    typer.Option(
        "--from-now",
        help="Go on with the next event, instead of learning again what has come since; for all states. One source or"
        " account always goes on from now.",
    ),
]


@app.command("list")
def list_states(config: ConfigFile = None, json_: Json = False) -> None:
    """List the partitions' states: sources or accounts, bytes, the offset that they cover, and of when they are.

        Reads the changelog topics; workers may be running. With --json: a list of objects with the fields stream,
    partition, names (how many sources or accounts), bytes (as stored), covered and written_at.

    \b
    Example:
      tocsin state list
    """
    found = [_listed(one) for one in _changelogs(_kafka(config))]
    if json_:
        print_json(found)
        return
    from tocsin.evaluation.tables import Table  # noqa: PLC0415 - start-up time

    columns = ("partition", "sources or accounts", "bytes", "covers offset", "checkpoint of")
    rows = [
        (
            f"{one['stream']}/{one['partition']}",
            f"{one['names']:,}",
            f"{one['bytes']:,}",
            "–" if one["covered"] is None else f"{one['covered']:,}",
            one["written_at"] or "–",
        )
        for one in found
    ]
    print_table(Table("State", columns, rows))


@app.command("export")
def export(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="File to write, compressed if it ends in .gz; or an existing folder, for a file named by the time.",
        ),
    ],
    config: ConfigFile = None,
    source: Source = None,
    account: Account = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="With a folder: remove all but so many of its newest exports.")
    ] = None,
    json_: Json = False,
) -> None:
    """Write the states to a file: all of them, or one source or account.

        Reads the changelog topics; workers may be running: what they have not yet written is not in it. The file is
    text (JSON lines) and holds no code. With --json: an object with the fields file and states.

    \b
    Example:
      tocsin state export backups/ --keep 14
      tocsin state export pump-7.jsonl --source pump-7
    """
    from tocsin.cli.state_files import remove_all_but, write_export  # noqa: PLC0415 - start-up time

    if keep is not None and not target.is_dir():
        raise CommandError(f"--keep goes with an existing folder; {target} is none", WRONG_USAGE)
    kafka = _kafka(config)
    file, states = write_export(kafka, target, _changelogs(kafka), _only(source, account))
    if keep is not None:
        remove_all_but(target, keep)
    if json_:
        print_json({"file": str(file), "states": states})
    else:
        print_line(f"{file}: {states:,} states")


@app.command("restore")
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `tocsin state export` wrote.")],
    config: ConfigFile = None,
    source: Source = None,
    account: Account = None,
    from_now: FromNow = False,
    json_: Json = False,
) -> None:
    """Put the states of a file in place of those that there are; no worker of the group may be running.

        All states: the workers go back to the events that the file covers, and learn again what has come since; what
    was published is not published again. These events must still be retained; with --from-now the workers go on with
    the next event instead. One source or account (from a file of it, or with --source or --account): it goes on with
    its next event, all others are left as they are. With --json: an object with the fields file, states and covered.

    \b
    Example:
      tocsin state restore backups/state-20260102T030405Z.jsonl.gz
      tocsin state restore pump-7.jsonl
    """
    must_exist(file)
    _restore(_kafka(config), file, _only(source, account), from_now=from_now, as_json=json_)


@app.command("rollback")
def rollback(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of exports, see `export`."),
    ],
    config: ConfigFile = None,
    to: Annotated[
        datetime | None,
        typer.Option("--to", help="Go back to the newest export of this time (UTC) or before; default: the newest."),
    ] = None,
    source: Source = None,
    account: Account = None,
    from_now: FromNow = False,
    json_: Json = False,
) -> None:
    """Go back to an earlier export in a folder; no worker of the group may be running.

        Before that, the present state is exported into the folder, so that a rollback can be rolled back. What then
    happens is what `restore` does.

    \b
    Example:
      tocsin state rollback backups/ --to 2026-01-02T03:00:00 --source pump-7 --from-now
    """
    from tocsin.cli.changelogs import must_be_idle  # noqa: PLC0415 - start-up time
    from tocsin.cli.state_files import newest_export, write_export  # noqa: PLC0415 - start-up time

    must_exist(folder)
    kafka = _kafka(config)
    must_be_idle(kafka)
    file = newest_export(folder, None if to is None else to.replace(tzinfo=UTC))
    kept, _ = write_export(kafka, folder, _changelogs(kafka), None)
    if not json_:
        print_line(f"{kept}: the present state")
    _restore(kafka, file, _only(source, account), from_now=from_now, as_json=json_)


def _restore(kafka: KafkaSettings, file: Path, only: tuple[str, str] | None, *, from_now: bool, as_json: bool) -> None:
    from tocsin.cli.changelogs import make_changelogs, must_be_idle  # noqa: PLC0415 - start-up time
    from tocsin.cli.state_files import restore_export  # noqa: PLC0415 - start-up time

    must_be_idle(kafka)
    make_changelogs(kafka)
    states, covered = restore_export(kafka, file, _changelogs(kafka), only, from_now=from_now)
    if as_json:
        print_json({"file": str(file), "states": states, "covered": covered})
    else:
        print_line(f"{states:,} records written from {file}; start the workers")


def _kafka(config: Path | None) -> KafkaSettings:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    return load_configuration(config).kafka


def _changelogs(kafka: KafkaSettings) -> list[Changelog]:
    from tocsin.cli.changelogs import read_changelogs  # noqa: PLC0415 - start-up time

    return read_changelogs(kafka)


def _only(source: str | None, account: str | None) -> tuple[str, str] | None:
    """Return the stream and name of the one that is asked for."""
    if source is not None and account is not None:
        raise CommandError("--source and --account do not go together; run it once for each", WRONG_USAGE)
    if source is not None:
        return "telemetry", source
    return None if account is None else ("transactions", account)


def _listed(one: Changelog) -> dict[str, Any]:
    from streams.state_restore import names_in  # noqa: PLC0415 - start-up time

    at = None if one.written_at is None else datetime.fromtimestamp(one.written_at, UTC)
    return {
        "stream": one.stream,
        "partition": one.partition,
        "names": len(names_in(one.stream, one.states)),
        "bytes": one.bytes,
        "covered": None if one.marker is None else one.marker.covered,
        "written_at": None if at is None else at.isoformat(timespec="seconds").replace("+00:00", "Z"),
    }
