"""Features that the configuration declares: what each is of, and what of a transaction it goes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import msgspec

from detectors.transactions.account import DAY, HOUR, MINUTE
from detectors.transactions.classifier import Curve

Of = Literal["count", "sum", "mean", "maximum", "distinct", "since_last", "first_seen", "risk", "speed"]
"""What a feature may be of."""

WIDTHS = (
    (MINUTE, 15 * MINUTE, "minutes"),
    (5 * MINUTE, 2 * HOUR, "steps of 5 minutes"),
    (HOUR, 2 * DAY, "hours"),
    (DAY, 30 * DAY, "days"),
)
"""Seconds of a bucket, and of the longest window that is made of such; what they are called."""

HABIT = 30 * DAY
"""A count or sum is compared with the entity's own over this time."""

LARGEST = 1e15
"""Numbers beyond count as this much: sums stay exact enough."""

BEYOND = 1e300
"""A number from here on tells nothing apart: JSON has them of any length."""

_CURVES = {
    "count": Curve(0.0, 12.0, 0.5, log=True),
    "distinct": Curve(0.0, 12.0, 0.5, log=True),
    "sum": Curve(0.0, 40.0, 1.0, log=True),
    "mean": Curve(0.0, 40.0, 1.0, log=True),
    "maximum": Curve(0.0, 40.0, 1.0, log=True),
    "since_last": Curve(-1.0, 24.0, 1.0, log=True),
    "first_seen": Curve(0.0, 1.0, 1.0),
    "risk": Curve(0.0, 1.0, 0.1),
    "speed": Curve(0.0, 16.0, 0.5, log=True),
}

COORDINATES = ("latitude", "longitude")
"""Attributes that tell where a transaction is made, in degrees; a speed goes by them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A feature of an entity: of all transactions that have the same values of some fields, such as one device.

    Parameters
    ----------
    name
        What models and rules call it.
    key
        Fields whose values tell the entity.
    of
        What it is.
    what
        Field that is summed, averaged or counted.
    window
        Seconds of event time before a transaction; whole buckets (``width_of``).
    ratio
        Whether it is a ratio, as log2: a count or sum to the entity's own habit, an amount to the mean or maximum.

    """

    name: str
    key: tuple[str, ...]
    of: Of
    what: str = "amount"
    window: float = 0.0
    ratio: bool = False

    @property
    def width(self) -> float:
        """Seconds of the buckets that its window is made of."""
        return DAY if self.of == "risk" else width_of(self.window)

    @property
    def buckets(self) -> int:
        """Number of buckets in its window."""
        return round(self.window / self.width)

    @property
    def curve(self) -> Curve:
        """Where a model's curve of it has its knots. It has no prior: it says nothing before labels have taught it."""
        return Curve(-6.0, 8.0, 0.5) if self.ratio else _CURVES[self.of]

    @property
    def missing(self) -> float:
        """Its value for a transaction that lacks a field of the key: that of an entity of which nothing is known."""
        return -1.0 if self.of == "since_last" else 0.0


def width_of(window: float) -> float:
    """Return the seconds of the buckets of a window.

    Raises
    ------
    ValueError
        If the window is too short, too long, or no whole number of buckets.

    Examples
    --------
    >>> width_of(3_600.0), width_of(7 * 86_400.0)
    (300.0, 86400.0)

    """
    for width, longest, called in WIDTHS:
        if MINUTE <= window <= longest:
            if window % width:
                raise ValueError(f"{window:g} s: so long a window is made of whole {called}")
            return width
    raise ValueError(f"{window:g} s: a window has 1m to 30d")


class Facts(msgspec.Struct, array_like=True, frozen=True):
    """What declared features go by in a transaction.

    Parameters
    ----------
    entities
        The entities that it is of, each as group and a digest of its values.
    numbers
        What is summed or averaged, by field.
    marks
        Digests of what is counted once, by field.
    place
        Degrees of latitude and longitude, ``None`` if they are not known or no feature goes by them.

    """

    entities: tuple[str, ...]
    numbers: dict[str, float]
    marks: dict[str, int]
    place: tuple[float, float] | None = None


class Group(NamedTuple):
    """The features of one key, and what a history must keep for them: fields, seconds and number of buckets.

    ``places`` are the features' places among all; ``elsewhere`` says that other partitions have payments of its
    entities, too.
    """

    name: str
    key: tuple[str, ...] = ()
    features: tuple[Declared, ...] = ()
    places: tuple[int, ...] = ()
    buckets: tuple[tuple[str, float, int], ...] = ()
    distinct: tuple[tuple[str, float, int], ...] = ()
    label_days: int = 0
    elsewhere: bool = False


class DeclaredFeatures:
    """All features that are declared, in the order in which they follow the built-in ones.

    Parameters
    ----------
    features
        The features.

    Examples
    --------
    >>> declared = DeclaredFeatures([Declared("device_count_1h", ("device",), "count", window=3_600.0)])
    >>> facts = declared.facts({"account": "ann", "device": 17}, amount=20.0)
    >>> facts == declared.facts({"account": "bob", "device": "17"}, amount=20.0)
    True
    >>> declared.facts({"account": "ann"}, amount=20.0).entities
    ()

    """

    def __init__(self, features: Sequence[Declared] = ()) -> None:
        self.names = tuple(one.name for one in features)
        self.curves = {one.name: one.curve for one in features}
        self.missing = tuple(one.missing for one in features)
        found: dict[str, list[int]] = {}
        for place, one in enumerate(features):
            found.setdefault("+".join(sorted(one.key)), []).append(place)
        self._groups = {
            name: _group(name, [features[place] for place in places], places) for name, places in found.items()
        }
        self._marks = tuple(dict.fromkeys(one.what for one in features if one.of == "distinct"))
        summed = [what for group in self._groups.values() for what, _, _ in group.buckets if what != "amount"]
        self._has_places = any(one.of == "speed" for one in features)
        self._summed = tuple(dict.fromkeys(summed))
        self.numbers = (*self._summed, *(COORDINATES if self._has_places else ()))
        """Fields that features go by as numbers, but for the amount."""
        self.fields = tuple(dict.fromkeys([*(name for one in features for name in one.key), *self._marks]))
        """Fields that tell entities or are counted once: what matters is their text."""

    def __len__(self) -> int:
        return len(self.names)

    def group_of(self, entity: str) -> Group:
        """Return the group of an entity; one without features if it is no longer declared."""
        name = entity.partition("/")[0]
        return self._groups.get(name) or Group(name)

    def facts(self, fields: Mapping[str, Any], amount: float, *, elsewhere: bool = False) -> Facts:
        """Return what the features go by in a transaction.

        Parameters
        ----------
        fields
            Its fields and attributes.
        amount
            Its amount.
        elsewhere
            Whether another partition decides it: then entities of which that partition knows all are left out.

        """
        texts = {name: text for name in self.fields if (text := _text(fields.get(name))) is not None}
        numbers = {name: number for name in self._summed if (number := _number(fields.get(name))) is not None}
        entities = tuple(
            f"{group.name}/{_digest(*(texts[name] for name in group.key)).hex()}"
            for group in self._groups.values()
            if all(name in texts for name in group.key) and (group.elsewhere or not elsewhere)
        )
        marks = {name: int.from_bytes(_digest(texts[name])[:8], "big") for name in self._marks if name in texts}
        place = _place(fields) if self._has_places else None
        return Facts(entities, {"amount": amount, **numbers}, marks, place)

    def labelled(self, facts: Facts) -> tuple[str, ...]:
        """Return the entities of which a feature goes by labels."""
        return tuple(entity for entity in facts.entities if self.group_of(entity).label_days)


NONE_DECLARED = DeclaredFeatures()
"""The built-in features alone."""


def _group(name: str, features: list[Declared], places: list[int]) -> Group:
    buckets: dict[tuple[str, float], int] = {}
    distinct: dict[tuple[str, float], int] = {}
    for one in features:
        if one.of in ("count", "sum", "mean", "maximum", "distinct"):
            kept = distinct if one.of == "distinct" else buckets
            kept[one.what, one.width] = max(one.buckets, kept.get((one.what, one.width), 0))
        if one.ratio and one.of in ("count", "sum"):
            buckets[one.what, DAY] = round(HABIT / DAY)
    key = tuple(sorted(features[0].key))
    return Group(
        name,
        key,
        tuple(features),
        tuple(places),
        tuple((*which, length) for which, length in buckets.items()),
        tuple((*which, length) for which, length in distinct.items()),
        max((one.buckets for one in features if one.of == "risk"), default=0),
        "account" not in key,
    )


def _text(value: Any) -> str | None:
    """Return a field as text, so that 17 and "17" are the same; ``None`` if it says nothing."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)) and abs(value) < BEYOND:
        return str(int(value) if value == int(value) else value)
    return None


def _number(value: Any) -> float | None:
    """Return a field as a number; ``None`` if it is none from 0 up."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0:
        return float(min(value, LARGEST))
    return None


def _place(fields: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return where it was made, ``None`` if that is not said or nowhere on earth."""
    found = [fields.get(name) for name in COORDINATES]
    for degrees, most in zip(found, (90.0, 180.0), strict=True):
        if not isinstance(degrees, (int, float)) or isinstance(degrees, bool) or not -most <= degrees <= most:
            return None
    return float(found[0]), float(found[1])  # type: ignore[arg-type]


def _digest(*texts: str) -> bytes:
    # With their lengths, no two lists of texts are the same bytes.
    return blake2b("".join(f"{len(text)}:{text}" for text in texts).encode(), digest_size=12).digest()
