"""What each topic carries: the type of its values, what its keys are, and who writes it."""

from __future__ import annotations

import inspect
import re
from typing import NamedTuple

from alerts.action import Action
from alerts.alert import Alert
from alerts.happening import ChangeEvent
from alerts.incident import Incident
from alerts.notification import Notification
from alerts.policies import PolicyVersion
from alerts.silences import Silence
from streams.dead_letters import DeadLetter
from streams.decisions import DecisionRecord
from streams.fleet_book import ModelVersion
from streams.forecasts import ForecastRecord
from streams.machine import FailureRecord
from streams.models import ModelRecord
from streams.rule_book import ListChange, RuleVersion
from streams.schemas import CommandEvent, LabelEvent, PromotionEvent, TelemetryEvent, TransactionEvent
from streams.scores import ScoreRecord


class Content(NamedTuple):
    """What is in a topic.

    Parameters
    ----------
    key
        What the key is, in words.
    model
        Type of the values: of pydantic, or of msgspec.
    is_input
        Whether others write it, and Tocsin reads.

    """

    key: str
    model: type
    is_input: bool = False


CONTENTS: dict[str, Content] = {
    "telemetry": Content("source", TelemetryEvent, is_input=True),
    "transactions": Content("account", TransactionEvent, is_input=True),
    "labels": Content("id", LabelEvent, is_input=True),
    "changes": Content("source", ChangeEvent, is_input=True),
    "policies": Content("name@version", PolicyVersion, is_input=True),
    "commands": Content("alert or incident id", CommandEvent, is_input=True),
    "promotions": Content("any name for the event", PromotionEvent, is_input=True),
    "rules": Content("name@version", RuleVersion, is_input=True),
    "lists": Content("list/field/value", ListChange, is_input=True),
    "artefacts": Content("name@version", ModelVersion, is_input=True),
    "silences": Content("silence id", Silence, is_input=True),
    "scores": Content("source", ScoreRecord),
    "decisions": Content("account", DecisionRecord),
    "models": Content("model", ModelRecord),
    "forecasts": Content("source", ForecastRecord),
    "failures": Content("source", FailureRecord),
    "alerts": Content("alert id", Alert),
    "incidents": Content("incident id", Incident),
    "actions": Content("action id", Action),
    "notifications": Content("notification id", Notification),
    "dead-letters": Content("that of the original; of a notification its id", DeadLetter),
}


def documented(model: type) -> tuple[str, dict[str, str]]:
    """Return what a type's docstring says: of the type as a whole, and of each of its parameters.

    Examples
    --------
    >>> said, of_each = documented(Content)
    >>> said, of_each["key"]
    ('What is in a topic.', 'What the key is, in words.')

    """
    text = inspect.getdoc(model) or ""
    said = " ".join(re.split(r"\n(?=[A-Z]\w+\n-+\n)", text)[0].split())
    section = re.search(r"Parameters\n-+\n(.*?)(\n\n|\Z)", text, re.DOTALL)
    found: dict[str, str] = {}
    for names, meaning in re.findall(r"^(\S.*)\n((?:    .*\n?)+)", section.group(1) if section else "", re.MULTILINE):
        found |= dict.fromkeys(names.split(", "), " ".join(meaning.split()).replace("``", "`"))
    return said.replace("``", "`"), found
