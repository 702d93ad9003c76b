"""`tocsin rules` and `tocsin lists`: what people say about decisions, while the service runs."""

from __future__ import annotations

import getpass
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows
from tocsin.cli.versioned import following, newest

if TYPE_CHECKING:
    from streams.rule_book import ListChange, RuleVersion
    from streams.settings import KafkaSettings

rules = typer.Typer(
    help="""Change the rules for decisions on transactions, while the service runs.

    A rule set is a decision graph in the JSON Decision Model (zen-engine, GoRules' editor). Each change is a new
    version in topic rules; it counts two seconds later on all workers, and decisions carry it. Try it in shadow first.

    \b
    Example:
      tocsin rules apply night.json --shadow --reason "losses at night"
      tocsin rules promote night
    """,
    rich_markup_mode=None,
)
lists = typer.Typer(
    help="""Say whose transactions are allowed, blocked or watched.

    \b
    Example:
      tocsin lists add block counterparty shop-9 --for 30d --reason "cloned cards"
    """,
    rich_markup_mode=None,
)

Author = Annotated[str | None, typer.Option("--author", metavar="NAME", help="Who applies it; default: your login.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the rule set.")]
GraphFile = Annotated[Path, typer.Argument(metavar="FILE", help="The decision graph, JSON.")]
ListName = Annotated[Literal["allow", "block", "watch"], typer.Argument(metavar="LIST", help="allow, block or watch.")]
Field = Annotated[str, typer.Argument(metavar="FIELD", help="account, counterparty, channel, or an attribute.")]
Value = Annotated[str, typer.Argument(metavar="VALUE", help="Whose transactions.")]


@rules.command("check")
def check(file: GraphFile) -> None:
    """Check a file: its JSON, its nodes and each of its expressions; send nothing.

    \b
    Example:
      tocsin rules check night.json
    """
    read_rules(file)
    print_line(f"{file}: valid, nothing sent")


@rules.command("apply")
def apply(
    file: GraphFile,
    name: Annotated[str | None, typer.Option("--name", help="Name of the rule set; default: that of the file.")] = None,
    shadow: Annotated[bool, typer.Option("--shadow", help="Only note what they say.")] = False,
    author: Author = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Apply a file of rules as the next version of a rule set.

    \b
    Example:
      tocsin rules apply night.json --shadow --reason "losses at night"
    """
    graph = read_rules(file)
    _send(_kafka(config), name or file.stem, author, reason, json_, mode="shadow" if shadow else "active", graph=graph)


@rules.command("promote")
def promote(
    name: Name, author: Author = None, reason: Reason = None, config: ConfigFile = None, json_: Json = False
) -> None:
    """Let the rules count that are in shadow.

    \b
    Example:
      tocsin rules promote night
    """
    kafka = _kafka(config)
    present = _newest(kafka, name)
    if present.mode != "shadow":
        raise CommandError(f"{name} version {present.version} is {present.mode}, not in shadow")
    said = reason or f"version {present.version} has been in shadow"
    _send(kafka, name, author, said, json_, mode="active", graph=present.graph)


@rules.command("rollback")
def rollback(
    name: Name,
    to: Annotated[int, typer.Option("--to", min=1, help="Version to return to.")],
    author: Author = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Return to an earlier version, which becomes the newest one.

    \b
    Example:
      tocsin rules rollback night --to 2
    """
    kafka = _kafka(config)
    found = [one for one in _versions(kafka) if one.name == name and one.version == to and one.graph is not None]
    if not found:
        raise CommandError(f"{name} has no version {to} with rules; `tocsin rules list --all` shows what there is")
    _send(kafka, name, author, reason or f"back to version {to}", json_, mode="active", graph=found[-1].graph)


@rules.command("withdraw")
def withdraw(
    name: Name, author: Author = None, reason: Reason = None, config: ConfigFile = None, json_: Json = False
) -> None:
    """Let a rule set say nothing any more, neither active nor in shadow.

    \b
    Example:
      tocsin rules withdraw night
    """
    kafka = _kafka(config)
    _newest(kafka, name)
    _send(kafka, name, author, reason, json_, mode="withdrawn")


@rules.command("list")
def list_rules(
    all_: Annotated[bool, typer.Option("--all", help="All versions.")] = False,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List the rule sets: the newest version of each.

    \b
    Example:
      tocsin rules list
    """
    found = _versions(_kafka(config))
    found = found if all_ else list({one.name: one for one in found}.values())
    if json_:
        print_json([one.model_dump(mode="json", exclude={"graph"}) for one in found])
    else:
        rows = ((one.name, str(one.version), one.mode, one.author, _iso(one.at), one.reason or "") for one in found)
        print_rows(("name", "version", "mode", "author", "applied", "reason"), rows)


@rules.command("show")
def show(name: Name, config: ConfigFile = None) -> None:
    """Print the newest rules of a rule set, as a file that can be applied.

    \b
    Example:
      tocsin rules show night > night.json
    """
    present = _newest(_kafka(config), name)
    if present.graph is None:
        raise CommandError(f"{name} is withdrawn; `tocsin rules rollback` brings an earlier version back")
    print_line(json.dumps(present.graph, indent=2, ensure_ascii=False))


@lists.command("add")
def add(
    list_: ListName,
    field: Field,
    value: Value,
    for_: Annotated[
        str | None, typer.Option("--for", metavar="SPAN", help="How long, such as 12h or 30d; default: for good.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Put somebody or something on a list.

    \b
    Example:
      tocsin lists add watch account card-7 --for 12h --reason "lost, says its owner"
    """
    from tocsin.cli.durations import seconds  # noqa: PLC0415 - start-up time

    until = None if for_ is None else round(time.time() + seconds(for_), 3)
    _say(config, json_, by, list=list_, field=field, value=value, until=until, reason=reason)


@lists.command("remove")
def remove(
    list_: ListName,
    field: Field,
    value: Value,
    reason: Reason = None,
    by: By = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Take somebody or something off a list.

    \b
    Example:
      tocsin lists remove watch account card-7
    """
    _say(config, json_, by, list=list_, field=field, value=value, removed=True, reason=reason)


@lists.command("show")
def show_lists(config: ConfigFile = None, json_: Json = False) -> None:
    """Show what stands on the lists now.

    \b
    Example:
      tocsin lists show
    """
    from streams.rule_book import LISTS, ListChange  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import valid_values  # noqa: PLC0415 - start-up time

    newest = {one.key: one for one in valid_values(_kafka(config), LISTS, ListChange)}
    found = [one for one in newest.values() if not one.removed and (one.until is None or one.until > time.time())]
    if json_:
        print_json([one.model_dump(mode="json") for one in found])
    else:
        rows = (
            (one.list, one.field, one.value, _iso(one.until) if one.until else "", one.by, one.reason or "")
            for one in sorted(found, key=lambda one: one.key)
        )
        print_rows(("list", "field", "value", "until", "by", "reason"), rows)


def read_rules(file: Path) -> dict[str, Any]:
    """Return the graph of a file that can be used; else there is a ``CommandError`` with file, line and reason."""
    from detectors.transactions.rules import RuleError, RuleSet  # noqa: PLC0415 - start-up time

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file}: cannot be read: {error}", WRONG_USAGE) from None
    try:
        RuleSet(file.stem, text)
    except RuleError as error:
        raise CommandError(f"{file}: {error}", WRONG_USAGE) from None
    graph: dict[str, Any] = json.loads(text)
    return graph


def trial(file: Path) -> RuleVersion:
    """Return the rules of a file as if they were applied."""
    from streams.rule_book import RuleVersion  # noqa: PLC0415 - start-up time

    return RuleVersion(name=file.stem, version=1, author="backtest", at=0.0, graph=read_rules(file))


def _kafka(config: Any) -> KafkaSettings:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    return load_configuration(config).kafka


def _versions(kafka: KafkaSettings) -> list[RuleVersion]:
    from streams.rule_book import MOST_BYTES, RULES, RuleVersion  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import valid_values  # noqa: PLC0415 - start-up time

    return valid_values(kafka, RULES, RuleVersion, MOST_BYTES)


def _newest(kafka: KafkaSettings, name: str) -> RuleVersion:
    return newest(_versions(kafka), name, "rule set")


def _send(kafka: KafkaSettings, name: str, author: str | None, reason: str | None, as_json: bool, **said: Any) -> None:
    from streams.rule_book import RULES, RuleVersion  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import send  # noqa: PLC0415 - start-up time

    version = following(RuleVersion, _versions(kafka), name, author, reason, **said)
    send(kafka, RULES, version.key.decode(), version.encode())
    if as_json:
        print_json(version.model_dump(mode="json", exclude={"graph"}))
    else:
        print_line(f"{name} version {version.version} is {'in shadow' if version.mode == 'shadow' else version.mode}")


def _say(config: Any, as_json: bool, by: str | None, **said: Any) -> None:
    from streams.rule_book import LISTS, ListChange  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import send  # noqa: PLC0415 - start-up time

    kafka = _kafka(config)
    change: ListChange = ListChange(by=by or getpass.getuser(), at=round(time.time(), 3), **said)
    send(kafka, LISTS, change.key.decode(), change.encode())
    if as_json:
        print_json(change.model_dump(mode="json"))
    else:
        what = "off" if change.removed else "on"
        print_line(f"{change.field} {change.value} is {what} the {change.list} list")


def _iso(at: float) -> str:
    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    return f"{iso(at)[:19]}Z"
