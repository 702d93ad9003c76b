"""What every version of something that people apply while the service runs has in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from alerts.alert import Time
from alerts.calendars import Word

MOST_REASON = 1000
Text = Annotated[str, Field(max_length=MOST_REASON)]


class Version(BaseModel):
    """One version of something with a name, by whom and why.

    Examples
    --------
    >>> Version(name="pumps", version=2, author="ann", at=0.0).key
    b'pumps@2'

    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Word = Field(description="What it is a version of")
    version: int = Field(ge=1, le=2**31, description="Counts its versions; the highest is the present")
    author: Word = Field(description="Who applied it")
    reason: Text | None = Field(None, description="Why")
    at: Time = Field(description="When it was applied")

    @property
    def key(self) -> bytes:
        """The record's key: every version has its own, so that compaction keeps the history."""
        return f"{self.name}@{self.version}".encode()
