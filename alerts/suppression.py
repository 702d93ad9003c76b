"""What keeps an alert from being told."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Suppressor(BaseModel):
    """A silence, or an alert that inhibits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["silence", "inhibition"]
    id: str = Field(description="Id of the silence, or of the alert that inhibits")
    because: str = Field("", description="The silence's author and comment, or the rule that applies")
