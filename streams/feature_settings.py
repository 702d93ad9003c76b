"""Features as the configuration declares them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from alerts.durations import Duration
from detectors.transactions.declared import HABIT, Declared, Of
from detectors.transactions.model import FEATURES
from streams.settings import Settings

MOST = 64
"""Features that may be declared."""

Attribute = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f/+]+$")]
FeatureName = Annotated[str, Field(max_length=128, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""What rules can write behind ``features.``."""

_AMOUNTS = ("sum", "mean", "maximum")
_TIMELESS = ("since_last", "first_seen", "speed")
_NO_KEYS = ("amount", "timestamp", "transaction_id")
_NO_NUMBERS = ("timestamp", "transaction_id", "account", "counterparty", "currency", "channel")


class FeatureSettings(Settings):
    """A feature of all transactions that have the same values of some fields.

    Examples
    --------
    >>> FeatureSettings(key="device", of="count", window="1h").declared().name
    'device_count_1h'
    >>> FeatureSettings(key=("account", "category"), of="mean", window="30d", ratio=True).declared().name
    'account_category_mean_30d_ratio'

    """

    key: Attribute | Annotated[tuple[Attribute, ...], Field(min_length=1, max_length=4)] = Field(
        description="Field or attribute whose value tells the entity, such as `device`; or a list of them"
    )
    of: Of = Field(description="What it is of the entity's transactions")
    what: Attribute | None = Field(
        None, description="Number that is summed (default: `amount`), or what `distinct` counts, such as `account`"
    )
    window: Duration | None = Field(None, description="Event time that it looks back over: `1m` to `30d`")
    ratio: bool = Field(
        False,
        description="As log2 of a ratio: count and sum to the entity's habit of 30 days, the amount to mean or maximum",
    )
    name: FeatureName | None = Field(None, description="Default: made of the rest, as `device_count_1h`")

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        key = self._key()
        for name in key:
            if name in _NO_KEYS:
                raise ValueError(f"key: {name} tells no entity: name an attribute, `account` or `counterparty`")
        if len(set(key)) < len(key):
            raise ValueError(f"key: {', '.join(key)} names one twice: leave it out")
        self._check_what(key)
        self._check_window()
        return self

    def declared(self) -> Declared:
        """Return the feature as it is computed."""
        key, what = self._key(), self.what or "amount"
        window = self.window or 0.0
        parts = [*key, self.of]
        parts += [what] if what != "amount" else []
        parts += [_span(window)] if window else []
        parts += ["ratio"] if self.ratio else []
        made = re.sub(r"\W", "_", "_".join(parts), flags=re.ASCII)
        name = self.name or (made if not made[0].isdigit() else f"_{made}")
        return Declared(name, key, self.of, what, window, self.ratio)

    def _key(self) -> tuple[str, ...]:
        return (self.key,) if isinstance(self.key, str) else self.key

    def _check_what(self, key: tuple[str, ...]) -> None:
        if self.of == "distinct":
            if self.what is None:
                raise ValueError("what: say what `distinct` counts, as `what: account`")
            if self.what in _NO_KEYS:
                raise ValueError(f"what: `distinct` does not count {self.what}: name an attribute, or `account`")
            if self.what in key:
                raise ValueError(f"what: {self.what} is part of the key, so there is one: name another field")
        elif self.what is not None and self.of not in _AMOUNTS:
            raise ValueError(f"what: `{self.of}` is of no field: leave it out")
        elif self.what in _NO_NUMBERS:
            raise ValueError(f"what: {self.what} is no number: name an attribute, or `amount`")

    def _check_window(self) -> None:
        if self.of in _TIMELESS:
            if self.window is not None or self.ratio:
                wrong = "window" if self.window is not None else "ratio"
                raise ValueError(f"{wrong}: `{self.of}` has none: leave it out")
            return
        if self.window is None:
            raise ValueError(f"window: `{self.of}` needs one, as `window: 7d`")
        try:
            whole = self.window % self.declared().width == 0
        except ValueError as error:
            raise ValueError(f"window: {error}") from None
        if not whole or self.window > HABIT:
            raise ValueError(f"window: `{self.of}` is counted by days: write 1d to 30d")
        if self.ratio and self.of in ("distinct", "risk"):
            raise ValueError(f"ratio: there is none of `{self.of}`: leave it out")
        if self.ratio and self.of in ("count", "sum") and self.window >= HABIT:
            raise ValueError("ratio: the habit is that of 30 days: choose a shorter window")


def check(features: Sequence[FeatureSettings]) -> None:
    """Look through features that are declared together.

    Raises
    ------
    ValueError
        If two have the same name, or one that of a built-in feature.

    """
    seen: dict[str, int] = {}
    for number, feature in enumerate(features, 1):
        name = feature.declared().name
        if name in FEATURES:
            raise ValueError(f"feature {number}: {name!r} is a built-in feature: give it another `name`")
        if name in seen:
            raise ValueError(
                f"feature {number}: {name!r} is the name of feature {seen[name]}, too: give it another `name`"
            )
        seen[name] = number


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds / 60:.0f}m"
