"""An event that cannot be taken goes to the dead letters with its reason, position and original bytes."""

from __future__ import annotations

import base64

from pydantic import BaseModel, Field

from streams.codec import Reason, Rejected
from streams.processor import Output, Record

TOPIC = "dead-letters"
TYPE = "tocsin.dead-letter.v1"


class DeadLetter(BaseModel):
    """The JSON value of topic ``dead-letters``; the record key is the original one."""

    reason: Reason
    detail: str = Field(description="What is wrong and how to mend it")
    topic: str = Field(description="Input topic, without prefix; `notifications` for one that could not be delivered")
    partition: int = Field(description="-1 for a notification: its key is in the dead letter's")
    offset: int = Field(description="-1 for a notification")
    timestamp: float = Field(description="When the record was produced, epoch seconds")
    value: str | None = Field(description="The original bytes, base64; null if the record had none")


def dead_letter(record: Record, rejected: Rejected) -> Output:
    """Return the dead letter of a record.

    Examples
    --------
    >>> record = Record("telemetry", 0, 7, 0.0, b"k", b"{")
    >>> print(dead_letter(record, Rejected(Reason.NOT_JSON, "…")).value.decode())
    {"reason":"not_json","detail":"…","topic":"telemetry","partition":0,"offset":7,"timestamp":0.0,"value":"ew=="}

    """
    letter = DeadLetter(
        reason=rejected.reason,
        detail=rejected.detail,
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        value=None if record.value is None else base64.b64encode(record.value).decode(),
    )
    return Output(TOPIC, record.key or b"", letter.model_dump_json().encode(), TYPE, record)
