"""A file of policies, as people write and keep it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerts.policies import PolicyDocument
from tocsin.config.load import load_settings
from tocsin.config.located import ConfigurationError, Problem


class PolicyFile(BaseModel):
    """What `tocsin policy apply FILE` reads."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    policies: tuple[PolicyDocument, ...] = Field(description="The documents; each name once")

    @model_validator(mode="after")
    def _names_once(self) -> PolicyFile:
        if not self.policies:
            raise ValueError("policies: there are none; `tocsin policy withdraw NAME` takes one back")
        names = [document.name for document in self.policies]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"policies: there are two named {twice[0]!r}; give each a name of its own")
        return self


def read_policies(file: Path) -> tuple[PolicyDocument, ...]:
    """Return the documents of a file.

    Raises
    ------
    tocsin.config.ConfigurationError
        If anything is wrong, with every problem found: file, line, column, field and what to do.

    """
    try:
        return load_settings(PolicyFile, file, {}).policies
    except ConfigurationError as error:
        raise ConfigurationError(
            *(Problem(one.place, one.path, _of_this(one.reason)) for one in error.problems)
        ) from None


def _of_this(reason: str) -> str:
    """Leave out what is true of the configuration only: the environment has no say here, nor has --config."""
    return reason.partition(", or set TOCSIN_")[0].removesuffix("; name another file with --config")
