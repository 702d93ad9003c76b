"""Who may ask `tocsin serve`, and how it says that nobody may."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.serving.settings import ServeSettings


def test_tokens_are_read_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("\n  a-token-of-the-shop  \nthe-next-token-already\n")
    tokens = ServeSettings(token_file=file).tokens()
    assert tokens.admit("Bearer a-token-of-the-shop") and tokens.admit("Bearer the-next-token-already")
    assert not tokens.admit("Bearer ") and not tokens.admit("Bearer a-token-of-the-shop ")


@pytest.mark.parametrize(
    ("written", "said"), [(None, "cannot read"), ("", "must hold tokens"), ("short", "16 characters or more")]
)
def test_without_a_token_nothing_is_served(tmp_path: Path, written: str | None, said: str) -> None:
    file = tmp_path / "tokens"
    if written is not None:
        file.write_text(written)
    with pytest.raises(ValueError, match=rf"^serve.token_file: .*{said}"):
        ServeSettings(token_file=file).tokens()
    with pytest.raises(ValueError, match="name a file with the secrets"):
        ServeSettings().tokens()
