"""`tocsin policy`: change when alerts begin, while the service runs."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.errors import CommandError
from tocsin.cli.options import ConfigFile, Json
from tocsin.cli.terminal import console, print_json, print_line

if TYPE_CHECKING:
    from alerts.policies import PolicyDocument, PolicyVersion
    from streams.settings import KafkaSettings

TOPIC = "policies"

app = typer.Typer(
    help="""Change when alerts begin, while the service runs.

    Policies are documents about some sources, laid over the policy of the configuration. Each change is a new version
    in topic policies, with its author and reason; workers take it within seconds, and alerts carry it.

    \b
    Example:
      tocsin policy apply pumps.yaml --reason "pumps are noisy while they are filled"
    """,
    rich_markup_mode=None,
)

Author = Annotated[str | None, typer.Option("--author", metavar="NAME", help="Who applies it; default: your login.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the document.")]


@app.command("apply")
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="YAML with the policies.")],
    author: Author = None,
    reason: Reason = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check the file; send nothing.")] = False,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Apply a file of policies: what has changed becomes a new version.

    The file is checked first; each problem is one line with file, line, column, field and what to do. A document that
    is as it was is left alone, and so are those that the file does not name.

    \b
    Example:
      tocsin policy apply pumps.yaml --reason "pumps are noisy while they are filled"
    pumps.yaml:
      policies:
        - name: pumps
          source: "pump-*"
          default: {fire_after: 60, gates: {direction: above, min_deviation: 2}}
          values: {temperature: {min: -40, max: 120, severity: critical}}
          owner: plant-a
          runbook: https://wiki.example/pumps
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time
    from tocsin.policy_file import read_policies  # noqa: PLC0415 - start-up time

    documents = read_policies(file)
    if dry_run:
        print_line(f"{file}: {len(documents)} valid, nothing sent")
        return
    kafka = load_configuration(config).kafka
    known = _known(kafka)
    changed = {one.name: one for one in documents if _said(_document(known, one.name)) != _said(one)}
    sent = _send(kafka, known, changed, author, reason)
    unchanged = [document.name for document in documents if document.name not in changed]
    if json_:
        print_json({"applied": [_plain(version) for version in sent], "unchanged": unchanged})
        return
    for version in sent:
        print_line(f"{version.name} version {version.version} is applied")
    for name in unchanged:
        print_line(f"{name} is unchanged")


@app.command("list")
def list_policies(
    all_: Annotated[bool, typer.Option("--all", help="Also those that are withdrawn.")] = False,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """List the policies that are in force.

    \b
    Example:
      tocsin policy list
    """
    from alerts.policies import present  # noqa: PLC0415 - start-up time
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = [one for one in present(_known(load_configuration(config).kafka)).values() if all_ or one.policy]
    if json_:
        print_json([_plain(version) for version in found])
    elif found:
        _print_table(found)
    else:
        print_line("no policies are applied; the configuration's counts for all sources")


@app.command("show")
def show(
    name: Name,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Default: the present one.")] = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Show one policy, as a file that can be applied.

    \b
    Example:
      tocsin policy show pumps > pumps.yaml
    """
    import yaml  # noqa: PLC0415 - start-up time

    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = _version(_of(load_configuration(config).kafka, name), name, version)
    if json_:
        print_json(_plain(found))
        return
    print_line(f"# {_line(found)}")
    if found.policy is not None:
        print_line(
            yaml.safe_dump({"policies": [_plain(found)["policy"]]}, sort_keys=False, allow_unicode=True).rstrip()
        )


@app.command("history")
def history(name: Name, config: ConfigFile = None, json_: Json = False) -> None:
    """Show the versions of a policy: when, by whom and why.

    \b
    Example:
      tocsin policy history pumps
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    found = _of(load_configuration(config).kafka, name)
    if json_:
        print_json([_plain(version) for version in found])
        return
    for version in found:
        print_line(_line(version))


@app.command("rollback")
def rollback(
    name: Name,
    to: Annotated[
        int | None, typer.Option("--to", min=1, help="Version to return to; default: the one before.")
    ] = None,
    author: Author = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Return to an earlier version of a policy, which becomes the newest one.

    \b
    Example:
      tocsin policy rollback pumps --reason "missed the leak"
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    found = _of(kafka, name)
    if to is None and len(found) < 2:
        raise CommandError(f"{name} has no version before {found[-1].version}; `tocsin policy withdraw` takes it back")
    target = _version(found, name, found[-2].version if to is None else to)
    said = reason or f"back to version {target.version}"
    (sent,) = _send(kafka, found, {name: target.policy}, author, said)
    if json_:
        print_json(_plain(sent))
    else:
        print_line(f"{name} version {sent.version} is applied: as version {target.version}")


@app.command("withdraw")
def withdraw(
    name: Name, author: Author = None, reason: Reason = None, config: ConfigFile = None, json_: Json = False
) -> None:
    """Take a policy back; its history stays, and it can be rolled back to.

    \b
    Example:
      tocsin policy withdraw pumps --reason "replaced by plant"
    """
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    kafka = load_configuration(config).kafka
    found = _of(kafka, name)
    if found[-1].policy is None:
        raise CommandError(f"{name} is withdrawn already, with version {found[-1].version}")
    (sent,) = _send(kafka, found, {name: None}, author, reason)
    if json_:
        print_json(_plain(sent))
    else:
        print_line(f"{name} is withdrawn, with version {sent.version}")


def _known(kafka: KafkaSettings) -> list[PolicyVersion]:
    """Return all versions in the topic that are valid, in its order."""
    from alerts.policies import PolicyVersion  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import valid_values  # noqa: PLC0415 - start-up time

    return valid_values(kafka, TOPIC, PolicyVersion)


def _of(kafka: KafkaSettings, name: str) -> list[PolicyVersion]:
    known = _known(kafka)
    versions = {one.version: one for one in known if one.name == name}
    if not versions:
        names = ", ".join(sorted({one.name for one in known})) or "none"
        raise CommandError(f"there is no policy {name!r} (there are: {names})")
    return [versions[number] for number in sorted(versions)]


def _version(found: list[PolicyVersion], name: str, number: int | None) -> PolicyVersion:
    for one in reversed(found):
        if number is None or one.version == number:
            return one
    numbers = ", ".join(str(one.version) for one in found)
    raise CommandError(f"{name} has no version {number} (there are: {numbers})")


def _document(known: list[PolicyVersion], name: str) -> PolicyDocument | None:
    from alerts.policies import present  # noqa: PLC0415 - start-up time

    version = present(known).get(name)
    return None if version is None else version.policy


def _said(document: PolicyDocument | None) -> str | None:
    return None if document is None else document.model_dump_json(exclude_unset=True)


def _send(
    kafka: KafkaSettings,
    known: list[PolicyVersion],
    documents: dict[str, Any],
    author: str | None,
    reason: str | None,
) -> list[PolicyVersion]:
    """Send the next version of each document, ``None`` to withdraw it."""
    from alerts.policies import PolicyVersion, present  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import producer  # noqa: PLC0415 - start-up time

    newest = present(known)
    said: dict[str, Any] = {"author": author or getpass.getuser(), "at": round(time.time(), 3)}
    said |= {} if reason is None else {"reason": reason}
    versions = []
    for name, document in documents.items():
        number = newest[name].version + 1 if name in newest else 1
        content = {} if document is None else {"policy": document}
        versions.append(PolicyVersion(name=name, version=number, **said, **content))
    with producer(kafka, acks="all") as client:
        for version in versions:
            client.send(kafka.topic(TOPIC), key=version.key, value=version.encode()).get(timeout=30)
    return versions


def _plain(version: PolicyVersion) -> dict[str, Any]:
    return version.model_dump(mode="json", exclude_unset=True)


def _line(version: PolicyVersion) -> str:
    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    what = "" if version.policy is not None else " withdrawn"
    why = f": {version.reason}" if version.reason else ""
    return f"{version.name} version {version.version}{what}, {iso(version.at)[:19]}Z by {version.author}{why}"


def _print_table(found: list[PolicyVersion]) -> None:
    from rich.table import Table  # noqa: PLC0415 - start-up time

    from alerts.alert import iso  # noqa: PLC0415 - start-up time

    table = Table(box=None, pad_edge=False)
    for column in ("name", "version", "sources", "priority", "owner", "author", "applied"):
        table.add_column(column, justify="right" if column in ("version", "priority") else "left")
    for one in found:
        policy = one.policy
        about = (
            ("withdrawn", "", "")
            if policy is None
            else (policy.source_re or policy.source or "*", str(policy.priority), policy.owner or "")
        )
        table.add_row(one.name, str(one.version), *about, one.author, f"{iso(one.at)[:19]}Z")
    console().print(table)
