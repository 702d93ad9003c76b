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

    policies: tuple[PolicyDocument, ...] = Field(min_length=1, description="The documents; each name once")

    @model_validator(mode="after")
    def _names_once(self) -> PolicyFile:
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
        # The same words as for the configuration, but for the environment, which has no say here.
        problems = [Problem(one.place, one.path, one.reason.split(", or set TOCSIN_")[0]) for one in error.problems]
        raise ConfigurationError(*problems) from None
