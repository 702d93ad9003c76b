"""Commands of `tocsin models` on trained models, which are published while the service runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tocsin.cli.errors import WRONG_USAGE, CommandError
from tocsin.cli.options import By, ConfigFile, Json
from tocsin.cli.terminal import print_json, print_line, print_rows
from tocsin.cli.versioned import following, newest

if TYPE_CHECKING:
    from detectors.artefact import Artefact
    from streams.fleet_book import ModelVersion
    from streams.settings import KafkaSettings

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name, as `tocsin models versions` shows it.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why.")]


def publish(
    file: Annotated[Path, typer.Argument(metavar="MODEL", help="What `tocsin train` wrote.")],
    source: Annotated[
        str | None, typer.Option("--source", metavar="GLOB", help="Sources that it is for; by default all.")
    ] = None,
    warn_within: Annotated[
        float | None,
        typer.Option(
            "--warn-within",
            min=0.0,
            metavar="TIME",
            help="How long before a failure it is warned of, in the model's unit of time; by default a fifth of its"
            " horizon.",
        ),
    ] = None,
    by: By = None,
    reason: Reason = None,
    config: ConfigFile = None,
    json_: Json = False,
) -> None:
    """Publish a trained model as the next version of its name: workers take it up without a restart.

    It counts for events that are produced two seconds later. One that a worker cannot use becomes a dead letter, and
    the worker keeps the version that it has.

    \b
    Example:
      tocsin models publish pumps.model --source "pump-*" --reason "200 more failures"
    """
    from tocsin.cli.artefacts import read_fleet, read_model, state_key  # noqa: PLC0415 - start-up time

    key = state_key(config)
    artefact = read_model(file, key)
    read_fleet(file, key)
    said = {"source": source, "warn_within": warn_within or None, "model": _plain(artefact, key)}
    _send(_kafka(config), artefact.name, by, reason, as_json=json_, **said)


def versions(config: ConfigFile = None, json_: Json = False) -> None:
    """List all versions of all published models, with how good they are.

    \b
    Example:
      tocsin models versions
    """
    found = _versions(_kafka(config))
    if json_:
        print_json([_told(one) for one in found])
        return
    rows = []
    for one in found:
        metrics: dict[str, Any] = {} if one.model is None else one.model["metrics"]
        units = "" if one.model is None else f"{metrics['trained_on']['units']:,}"
        good = [f"{metrics[name]:{how}}" if metrics.get(name) is not None else "" for name, how in MEASURES]
        kind = "withdrawn" if one.model is None else one.model["kind"]
        rows.append([one.name, str(one.version), kind, one.source or "*", units, *good, one.author, one.reason or ""])
    names = ("model", "version", "kind", "sources", "units", "rmse", "coverage", "by", "reason")
    print_rows(names, rows)


MEASURES = (("rmse", ".2f"), ("coverage", ".0%"))


def card(name: Name, config: ConfigFile = None) -> None:
    """Print the model card of a published model's newest version.

    \b
    Example:
      tocsin models card pumps
    """
    from detectors.rul.card import card as card_of  # noqa: PLC0415 - start-up time

    print_line(card_of(_artefact(_newest(_kafka(config), name), config)).rstrip())


def learn(name: Name, by: By = None, reason: Reason = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Let a published model learn how machines came to fail since, and publish it as its next version.

    Reads topic failures: a machine fails at an event whose attribute `failure` says what failed. The model is signed
    with state.key if that is set. Run it as often as you like: without a new failure nothing changes.

    \b
    Example:
      tocsin models learn pumps
    """
    import msgspec  # noqa: PLC0415 - start-up time

    from streams.machine import FAILURES, FailureRecord  # noqa: PLC0415 - start-up time
    from streams.training import learned  # noqa: PLC0415 - start-up time
    from tocsin.cli.artefacts import state_key  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import read_topic  # noqa: PLC0415 - start-up time

    kafka = _kafka(config)
    present = _newest(kafka, name)
    before = _artefact(present, config)
    decode = msgspec.json.Decoder(FailureRecord).decode
    after = learned(before, (decode(one.value) for one in read_topic(kafka, FAILURES) if one.value))
    if after is None:
        if json_:
            print_json(_told(present))
        else:
            print_line(f"{name} version {present.version} knows all failures of its kind")
        return
    count = after.metrics["trained_on"]["units"] - before.metrics["trained_on"]["units"]
    said = {"source": present.source, "warn_within": present.warn_within, "model": _plain(after, state_key(config))}
    _send(kafka, name, by, reason or f"{count} more failures", as_json=json_, **said)


def withdraw(name: Name, by: By = None, reason: Reason = None, config: ConfigFile = None, json_: Json = False) -> None:
    """Let a published model foretell nothing any more.

    \b
    Example:
      tocsin models withdraw pumps
    """
    kafka = _kafka(config)
    _newest(kafka, name)
    _send(kafka, name, by, reason, as_json=json_)


def roll_back(
    name: str, to: int | None, by: str | None, reason: str | None, config: Path | None, *, as_json: bool
) -> None:
    """Publish an earlier version of a model again, as the newest one."""
    kafka = _kafka(config)
    present = _newest(kafka, name)
    earlier = [one for one in _versions(kafka) if one.name == name and one.model and one.version < present.version]
    found = [one for one in earlier if to is None or one.version == to]
    if not found:
        there = ", ".join(str(one.version) for one in earlier) or "none"
        raise CommandError(f"{name} has no version{'' if to is None else f' {to}'} to return to (earlier: {there})")
    chosen = found[-1]
    said = {"source": chosen.source, "warn_within": chosen.warn_within, "model": chosen.model}
    _send(kafka, name, by, reason or f"back to version {chosen.version}", as_json=as_json, **said)


def _kafka(config: Path | None) -> KafkaSettings:
    from tocsin.config import load_configuration  # noqa: PLC0415 - start-up time

    return load_configuration(config).kafka


def _versions(kafka: KafkaSettings) -> list[ModelVersion]:
    from streams.fleet_book import MOST_BYTES, TOPIC, ModelVersion  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import valid_values  # noqa: PLC0415 - start-up time

    return valid_values(kafka, TOPIC, ModelVersion, MOST_BYTES)


def _newest(kafka: KafkaSettings, name: str) -> ModelVersion:
    return newest(_versions(kafka), name, "published model")


def _artefact(version: ModelVersion, config: Path | None) -> Artefact:
    import json  # noqa: PLC0415 - start-up time

    from detectors.artefact import Artefact, ArtefactError  # noqa: PLC0415 - start-up time
    from tocsin.cli.artefacts import state_key  # noqa: PLC0415 - start-up time

    if version.model is None:
        raise CommandError(f"{version.name} is withdrawn; `tocsin models rollback {version.name}` brings it back")
    try:
        return Artefact.decode(json.dumps(version.model).encode(), state_key(config))
    except ArtefactError as error:
        raise CommandError(f"{version.name} version {version.version}: {error}") from error


def _plain(artefact: Artefact, key: bytes | None) -> dict[str, Any]:
    import json  # noqa: PLC0415 - start-up time

    found: dict[str, Any] = json.loads(artefact.encode(key))
    return found


def _told(version: ModelVersion) -> dict[str, Any]:
    """Return a version without what it has learned."""
    found = version.model_dump(mode="json")
    if found["model"]:
        found["model"].pop("payload")
    return found


def _send(
    kafka: KafkaSettings, name: str, author: str | None, reason: str | None, *, as_json: bool, **said: Any
) -> None:
    from streams.fleet_book import MOST_BYTES, TOPIC, ModelVersion  # noqa: PLC0415 - start-up time
    from tocsin.cli.clients import send  # noqa: PLC0415 - start-up time

    version = following(ModelVersion, _versions(kafka), name, author, reason, **said)
    value = version.encode()
    if len(value) > MOST_BYTES:
        raise CommandError(f"{name}: the model has {len(value):,} bytes, more than {MOST_BYTES:,}", WRONG_USAGE)
    send(kafka, TOPIC, version.key.decode(), value)
    if as_json:
        print_json(_told(version))
    else:
        print_line(f"{name} version {version.version} is {'withdrawn' if version.model is None else 'published'}")
