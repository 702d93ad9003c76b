"""What besides alerts bears on incidents: changes somebody made, commands of operators, and rare moments of sources."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Alert, Time
from alerts.calendars import LONGEST, Word
from alerts.durations import Duration


class ChangeEvent(BaseModel):
    """Something that is changed on purpose: it may be the cause of what follows, and is no fault while it lasts.

    Examples
    --------
    >>> ChangeEvent(change_id="d42", kind="deploy", source="checkout", timestamp="2026-01-02T03:04:05Z").timestamp
    1767323045.0

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    change_id: Word = Field(description="Names the change")
    kind: Annotated[Word, Field(max_length=64)] = Field(description="What was done: deploy, configuration, restart, …")
    source: Word = Field(description="Source, or other node of the topology, it is about")
    timestamp: Annotated[Time, Field(gt=-2e10, lt=2e10, allow_inf_nan=False)] = Field(description="When it took effect")
    summary: str = Field("", max_length=1024, description="What was changed, for people")
    by: Word | None = Field(None, description="Who did it")
    lasts: Duration | None = Field(
        None,
        gt=0,
        le=LONGEST,
        description="For so long alerts of the sources named by `source`, here also a glob, are muted; said again under"
        " the same id, this one counts; without it, nothing is muted any more",
    )
    mute: bool = Field(True, description="With `lasts`: whether no alert begins meanwhile")
    freeze: bool = Field(False, description="With `lasts`: whether nothing is learned meanwhile")


class IncidentCommand(BaseModel):
    """What an operator decides about an incident.

    Examples
    --------
    >>> IncidentCommand(verb="assign", incident_id="i1", timestamp=0.0, by="ann", text="team-db").verb
    'assign'

    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    verb: Literal["acknowledge", "assign", "merge", "split", "note", "resolved_by"] = Field(
        description="`assign` to the owner in `text`; `merge` into the incident in `text`; `split` off the alerts of"
        " `sources`; `note` puts `text` into the timeline; `resolved_by` keeps what helped for the next time"
    )
    incident_id: str
    timestamp: Time
    by: str = Field(description="Who says so")
    text: str = Field("", max_length=1024)
    sources: tuple[str, ...] = ()


class RareMoment(msgspec.Struct, frozen=True):
    """A moment at which a source was unusual, worth an alert or not: from these a topology is learned.

    Parameters
    ----------
    source
        Which it was.
    timestamp
        Event time, epoch seconds.

    """

    source: str
    timestamp: float


Happening = Alert | ChangeEvent | IncidentCommand | RareMoment
