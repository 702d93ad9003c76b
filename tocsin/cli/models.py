"""`tocsin models`: which fraud model decides, how its challengers do, and who takes its place."""

from __future__ import annotations

import getpass
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli import published
from tocsin.cli.errors import FAILED, WRONG_USAGE, CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows

if TYPE_CHECKING:
    from streams.models import ModelRecord
    from streams.settings import KafkaSettings

app = typer.Typer(
    help="""See which models are in use, and change that while the service runs.

    Fraud models: challengers (transactions.challengers) score the same transactions in shadow and are compared with the
    champion as labels come. Each partition has models of its own; what is said here counts in all.
    Trained models (tocsin train): published, they count two seconds later on all workers.

    \b
    Example:
      tocsin models list
      tocsin models promote calm --reason "12 % less loss in all partitions"
      tocsin models publish pumps.model --source "pump-*"
    """,
    rich_markup_mode=None,
)

app.command("publish")(published.publish)
app.command("versions")(published.versions)
app.command("card")(published.card)
app.command("learn")(published.learn)
app.command("withdraw")(published.withdraw)

Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]


@app.command("list")
def list_models(config: ConfigFile = None, json_: Json = False) -> None:
    """List the models of each partition: role, measures, and how challengers compare with the champion.

    The measures are of the last 20,000 labels or so. `better by` is the share by which a challenger's loss is below the
    champion's; `p` how improbable that would be if it were not better by the margin, whenever one looks.

    \b
    Example:
      tocsin models list
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = _present(load_configuration(config).kafka)
    if json_:
        print_json([_plain(one) for one in found])
    elif found:
        of_labels = ("labels", "frauds", "precision", "saved", "better by", "p", "verdict")
        print_rows(("model", "partition", "role", "since", *of_labels), map(_row, found))
    else:
        print_line("there are no models to compare; configure transactions.challengers")


@app.command("promote")
def promote(
    model: Annotated[str, typer.Argument(metavar="NAME", help="As `tocsin models list` shows it.")],
    by: By = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Let a model decide in all partitions, from the transactions on that are produced two seconds later.

    \b
    Example:
      tocsin models promote calm --reason "12 % less loss in all partitions"
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    names = sorted({one.model for one in _present(kafka) if one.role != "removed"})
    if model not in names:
        raise CommandError(f"there is no model {model!r} (there are: {', '.join(names) or 'none'})")
    _say(kafka, "promote", by, reason, as_json=json_, model=model)


@app.command("rollback")
def rollback(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A published model; without one, the fraud model.")
    ] = None,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="Version to return to; by default the one before.")
    ] = None,
    by: By = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Return to an earlier version of a published model; or let the fraud model before decide again.

    Of fraud models, the champion before decides again in each partition; where there was none, nothing changes. The one
    that is rolled back is not promoted automatically any more.

    \b
    Example:
      tocsin models rollback pumps --reason "warns too late"
      tocsin models rollback --reason "too many reviews"
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    if name is not None:
        published.roll_back(name, to, by, reason, config, as_json=json_)
        return
    if to is not None:
        raise CommandError("--to goes with the name of a published model", WRONG_USAGE)
    _say(load_configuration(config).kafka, "rollback", by, reason, as_json=json_)


def _say(kafka: KafkaSettings, order: str, by: str | None, reason: str | None, *, as_json: bool, **said: str) -> None:
    from streams.promotions import TOPIC  # noqa: PLC0415 - start-up time
    from streams.schemas import PromotionEvent  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import encoded, send  # noqa: PLC0415 - start-up time

    event: dict[str, Any] = {"order": order, **said, "by": by or getpass.getuser(), "timestamp": round(time.time(), 3)}
    event |= {} if reason is None else {"reason": reason}
    send(kafka, TOPIC, uuid.uuid4().hex[:12], encoded(PromotionEvent, event, FAILED))
    if as_json:
        print_json(event)
    else:
        print_line(" ".join([order, *said.values()]) + f": sent to topic {kafka.topic(TOPIC)}")


def _present(kafka: KafkaSettings) -> list[ModelRecord]:
    """Return what the topic says of each model in each partition now."""
    from streams.models import TOPIC, ModelRecord  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import read_topic  # noqa: PLC0415 - start-up time

    records = [ModelRecord.decode(record.value) for record in read_topic(kafka, TOPIC) if record.value]
    newest = {(one.model, one.partition): one for one in records}
    return [newest[place] for place in sorted(newest)]


def _plain(record: ModelRecord) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415 - start-up time

    found: dict[str, Any] = msgspec.to_builtins(record)
    return found


def _row(one: ModelRecord) -> list[str]:
    row = [one.model, str(one.partition), one.role, (one.since or "")[:10]]
    if (measures := one.measures) is not None and measures.labels:
        precision = "" if measures.average_precision is None else f"{measures.average_precision:.3f}"
        saved = f"{measures.money_saved / measures.money_at_stake:.0%}" if measures.money_at_stake else ""
        row += [f"{measures.labels:,}", f"{measures.frauds:,}", precision, saved]
    else:
        row += ["0", "0", "", ""]
    shown = one.comparison
    if shown is None or one.role != "challenger":
        return [*row, "", "", ""]
    return [*row, f"{shown.advantage:+.1%}", f"{shown.p_value:.2g}", shown.verdict]
