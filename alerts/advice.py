"""What to do about an incident: the runbooks that fit its causes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set

from pydantic import BaseModel, ConfigDict, Field, field_validator

from alerts.action import ActionSettings
from alerts.incident import Advice, Cause

MOST_ADVICE = 3


class Step(BaseModel):
    """What to do, for people, and what can do it by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(min_length=1, description="What to do")
    action: ActionSettings | None = Field(None, description="What does it, once it is approved")


class Runbook(BaseModel):
    """Steps for causes of some kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, description="What the runbook is called")
    steps: tuple[str | Step, ...] = Field(
        min_length=1, description="What to do, in this order; a step with an `action` has its `text` beside it"
    )
    source: str = Field(".*", description="Regular expression for the whole name of the cause")
    kinds: tuple[str, ...] = Field((), description="Kinds of alerts of the cause, any of them; empty for all")
    changes: tuple[str, ...] = Field((), description="Kinds of changes to the cause, any; empty needs none")
    url: str | None = Field(None, description="Where there is more")

    @field_validator("source")
    @classmethod
    def _is_a_pattern(cls, source: str) -> str:
        try:
            re.compile(source)
        except re.error as error:
            raise ValueError(f"{source!r} is no regular expression: {error}") from error
        return source

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps, also those that are only text."""
        return tuple(Step(text=one) if isinstance(one, str) else one for one in self.steps)

    def fits(self, source: str, kinds: Set[str], change: str | None) -> bool:
        """Say whether the steps are for a cause with alerts of some kinds, and a change of some kind to it.

        Examples
        --------
        >>> rollback = Runbook(name="roll back", steps=("tocsin …",), source="web-.*", changes=("deploy",))
        >>> rollback.fits("web-1", {"level"}, "deploy"), rollback.fits("web-1", {"level"}, None)
        (True, False)

        """
        return (
            re.fullmatch(self.source, source) is not None
            and (not self.kinds or not kinds.isdisjoint(self.kinds))
            and (not self.changes or change in self.changes)
        )


def advice(
    runbooks: Sequence[Runbook],
    causes: Sequence[Cause],
    kinds: Mapping[str, Set[str]],
    changes: Mapping[str, str],
) -> tuple[Advice, ...]:
    """Return the runbooks that fit the causes, those of the likeliest first.

    Parameters
    ----------
    runbooks
        All there are; of those that fit one cause, the first come first.
    causes
        Likeliest first.
    kinds
        Kinds of alerts by source.
    changes
        Kinds of changes by their ids.

    """
    found = [
        Advice(
            runbook=runbook.name,
            cause=cause.source,
            steps=tuple(step.text for step in runbook.all_steps),
            url=runbook.url,
        )
        for cause in causes
        for runbook in runbooks
        if runbook.fits(cause.source, kinds.get(cause.source, frozenset()), changes.get(cause.change_id or ""))
    ]
    return tuple(found[:MOST_ADVICE])
