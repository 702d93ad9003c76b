"""Settings of `tocsin serve`."""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import Literal

from pydantic import Field

from streams.settings import Settings

LEAST_TOKEN = 16
"""Characters below which a token is refused: it could be guessed."""


class ServeSettings(Settings):
    """How callers that must wait for a decision are answered."""

    host: str = "0.0.0.0"  # noqa: S104 - callers come from other hosts
    port: int = Field(8090, ge=0, le=65535, description="Where decisions are asked for; 0 takes a free port.")
    token_file: Path | None = Field(
        None, description="Secrets that callers must send as `Authorization: Bearer …`, one a line; needed to serve."
    )
    timeout: float = Field(0.25, gt=0, le=60, description="Seconds after which a caller gets the fall-back decision.")
    fallback: Literal["approve", "review", "decline"] = Field(
        "review", description="What a caller is told if there is no decision in time."
    )
    concurrency: int = Field(
        256, ge=1, le=10_000, description="Callers that may wait at once; others are told to come again (503)."
    )
    remember: float = Field(
        600.0, ge=0, le=86_400, description="Seconds for which a decision is known to those who ask again."
    )

    def tokens(self) -> Tokens:
        """Return the secrets, read anew.

        Raises
        ------
        ValueError
            If they cannot be read, or one is too short; the message begins with the setting's path.

        """
        if self.token_file is None:
            raise ValueError("serve.token_file: name a file with the secrets that callers must send, one a line")
        try:
            found = [line.strip() for line in self.token_file.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise ValueError(f"serve.token_file: cannot read {self.token_file}: {error.strerror}") from error
        if not found or min(map(len, found)) < LEAST_TOKEN:
            raise ValueError(
                f"serve.token_file: {self.token_file} must hold tokens of {LEAST_TOKEN} characters or more"
            )
        return Tokens(found)


class Tokens:
    """Secrets, one of which a caller must send.

    Examples
    --------
    >>> tokens = Tokens(["s3cret-of-the-shop", "another-secret-now"])
    >>> [tokens.admit(said) for said in ("Bearer another-secret-now", "Bearer no", "another-secret-now", None)]
    [True, False, False, False]

    """

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [f"Bearer {token}".encode() for token in tokens]

    def admit(self, authorization: str | None) -> bool:
        """Say whether a header holds one of them, in a time that tells nothing of how near it was."""
        said = (authorization or "").encode()
        return any(hmac.compare_digest(said, token) for token in self._tokens)
