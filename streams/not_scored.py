"""What is said of an event that has no score: it was refused, no worker has come to it, or there is none."""

from __future__ import annotations

import base64

import msgspec
from pydantic import ValidationError

from alerts.alert import iso
from alerts.summary import duration
from streams.account import Account, Outcome
from streams.dead_letters import DeadLetter
from streams.rescoring import Replay, Replayed, position_of
from streams.schemas import Event
from streams.telemetry import STREAM

NEAR = 60.0
"""Seconds from a time within which an event is meant."""


def refused(letter: DeadLetter, source: str, time: float) -> Account:
    """Return what became of an event that could not be taken."""
    return Account(
        source=source,
        at=time,
        position=f"{letter.topic}/{letter.partition}/{letter.offset}",
        outcome="dead_letter",
        reason=letter.reason.value,
        because=f"it could not be taken: {letter.detail}",
        change="send it again as the sentence says",
        evidence="dead_letter",
    )


def letter_time(letter: DeadLetter, key: bytes | None, source: str) -> float | None:
    """Return the time of a source's event that became a dead letter, as far as it can be known.

    It is the event's own if it can be read, else that of its production; ``None`` if it is of another source.
    """
    if letter.topic != STREAM:
        return None
    value = base64.b64decode(letter.value or "")
    try:
        found = msgspec.json.decode(value)
    except msgspec.DecodeError:
        found = None
    said = found if isinstance(found, dict) else {}
    if said.get("source", source if key == source.encode() else None) != source:
        return None
    try:
        return Event.model_validate({"timestamp": said.get("timestamp")}).time
    except (ValidationError, ValueError, OverflowError):
        return letter.timestamp


def nothing_there(
    source: str,
    at: float,
    replay: Replay,
    *,
    known: bool,
    kept: str,
    forgotten: float | None,
) -> Account:
    """Return that there is no event of that time, or no such source.

    Parameters
    ----------
    source, at
        What was asked for.
    replay
        The source's events, scored again.
    known
        Whether anything is known of the source: an event, a score, an alert or a dead letter.
    kept
        For how long the events are kept, in words.
    forgotten
        Seconds after which a source is forgotten.

    """
    if not known:
        forget = f"; one that is silent for {duration(forgotten)} is forgotten" if forgotten is not None else ""
        because = f"no event, score, alert or dead letter of {source!r} is there; events are kept for {kept}{forget}"
        change = "check the name, which is that of field `source`, in capitals and small letters as there"
        return _nothing(source, at, "unknown_source", because, change)
    near = [f"the one before at {iso(replay.before)}"] if replay.before is not None else []
    near += [f"the one after at {iso(replay.after)}"] if replay.after is not None else []
    because = f"no event within {duration(NEAR)} of this time; {' and '.join(near) or f'events are kept for {kept}'}"
    return _nothing(source, at, "no_event", because + _silence(replay), None)


def _silence(replay: Replay) -> str:
    """Say whether the source was silent, in the sense of its alerts of this kind."""
    if replay.before is None:
        return ""
    if replay.tolerated is None:
        return "; no silence: how often it sends was not yet known"
    silent_from = iso(replay.before + replay.tolerated)
    return f"; silence from {silent_from} on, since {duration(replay.tolerated)} without an event are usual or allowed"


def not_processed(event: Replayed, committed: int) -> Account:
    """Return that no worker has come to an event yet, as far as the last checkpoint tells."""
    because = f"no worker has come to it by the last checkpoint (offset {committed}): see `tocsin_consumer_lag`"
    return Account(
        source=event.reading.source,
        at=event.reading.time,
        event_id=event.reading.event_id,
        position=position_of(event.record),
        outcome="not_processed",
        reason="not_processed",
        because=because,
        change="wait, start a worker, or start more of them",
        evidence="none",
    )


def _nothing(source: str, at: float, outcome: Outcome, because: str, change: str | None) -> Account:
    return Account(
        source=source, at=at, outcome=outcome, reason=outcome, because=because, change=change, evidence="none"
    )
