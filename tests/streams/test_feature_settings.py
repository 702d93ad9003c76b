"""Features as people declare them: what is accepted, what they are called, and what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from streams.transaction_settings import TransactionSettings


def declared(*features: dict[str, Any], **settings: Any) -> TransactionSettings:
    return TransactionSettings.model_validate({"features": list(features), **settings})


@pytest.mark.parametrize(
    ("feature", "name"),
    [
        ({"key": "device", "of": "count", "window": "1h"}, "device_count_1h"),
        ({"key": "device", "of": "count", "window": 5400}, "device_count_90m"),
        ({"key": "device", "of": "distinct", "what": "account", "window": "1w"}, "device_distinct_account_7d"),
        ({"key": "ip_country", "of": "sum", "what": "amount", "window": "30d"}, "ip_country_sum_30d"),
        ({"key": ["account", "mcc"], "of": "mean", "window": "30d", "ratio": True}, "account_mcc_mean_30d_ratio"),
        ({"key": "device", "of": "since_last"}, "device_since_last"),
        ({"key": ["account", "device"], "of": "first_seen"}, "account_device_first_seen"),
        ({"key": "device", "of": "risk", "window": "30d"}, "device_risk_30d"),
        ({"key": "account", "of": "speed"}, "account_speed"),
        ({"key": "ip-country", "of": "since_last"}, "ip_country_since_last"),
        ({"key": "device", "of": "since_last", "name": "idle"}, "idle"),
    ],
)
def test_a_feature_is_named_after_what_it_is(feature: dict[str, Any], name: str) -> None:
    assert declared(feature).declared.names == (name,)


@pytest.mark.parametrize(
    ("feature", "wrong"),
    [
        ({"key": "device", "of": "median", "window": "1h"}, r"features.0.of\s+Input should be 'count', 'sum'"),
        ({"key": "device", "of": "count"}, "window: `count` needs one, as `window: 7d`"),
        ({"key": "device", "of": "count", "window": "10s"}, "window: 10 s: a window has 1m to 30d"),
        ({"key": "device", "of": "count", "window": "31d"}, "a window has 1m to 30d"),
        ({"key": "device", "of": "count", "window": "50h"}, "window: 180000 s: so long a window is made of whole days"),
        ({"key": "device", "of": "count", "window": "soon"}, "no span of time"),
        ({"key": "device", "of": "risk", "window": "1h"}, "window: `risk` is counted by days: write 1d to 30d"),
        ({"key": "device", "of": "since_last", "window": "1h"}, "window: `since_last` has none: leave it out"),
        ({"key": "account", "of": "speed", "window": "1h"}, "window: `speed` has none: leave it out"),
        ({"key": "device", "of": "first_seen", "ratio": True}, "ratio: `first_seen` has none"),
        ({"key": "device", "of": "count", "window": "30d", "ratio": True}, "choose a shorter window"),
        ({"key": "device", "of": "risk", "window": "7d", "ratio": True}, "ratio: there is none of `risk`"),
        ({"key": "device", "of": "distinct", "window": "1h"}, "what: say what `distinct` counts"),
        ({"key": "device", "of": "distinct", "what": "device", "window": "1h"}, "what: device is part of the key"),
        (
            {"key": "device", "of": "distinct", "what": "amount", "window": "1h"},
            "what: `distinct` does not count amount",
        ),
        ({"key": "device", "of": "sum", "what": "account", "window": "1h"}, "what: account is no number"),
        ({"key": "device", "of": "count", "what": "amount", "window": "1h"}, "what: `count` is of no field"),
        ({"key": "amount", "of": "since_last"}, "key: amount tells no entity"),
        ({"key": ["device", "device"], "of": "since_last"}, "key: device, device names one twice"),
        ({"key": [], "of": "since_last"}, "features.0.key"),
        ({"key": "a/b", "of": "since_last"}, "features.0.key"),
        ({"key": "device", "of": "since_last", "name": "not a name"}, "features.0.name"),
        ({"key": "device", "of": "since_last", "name": "hour"}, "'hour' is a built-in feature: give it another `name`"),
        ({"key": "device", "of": "since_last", "colour": "red"}, "features.0.colour"),
    ],
)
def test_what_is_wrong_with_a_feature_is_said_with_its_field(feature: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        declared(feature)


def test_two_features_of_one_name_are_refused() -> None:
    one = {"key": "device", "of": "since_last"}
    with pytest.raises(ValidationError, match="feature 2: 'device_since_last' is the name of feature 1, too"):
        declared(one, one)


def test_models_may_be_without_a_declared_feature() -> None:
    challenger = {"model": {"without": ["device_since_last"]}}
    found = declared({"key": "device", "of": "since_last"}, challengers={"blind": challenger})
    assert "device_since_last" not in found.challengers["blind"].model.seen(found.declared)
    assert "device_since_last" in found.model.seen(found.declared)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        (
            {"model": {"without": ["device_since"]}},
            "model\n.*without: there is no feature 'device_since': did you mean",
        ),
        ({"challengers": {"blind": {"model": {"without": ["houer"]}}}}, "blind.model.without: there is no .*'hour'"),
    ],
)
def test_a_model_without_a_feature_that_there_is_not_is_refused(settings: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong):
        declared({"key": "device", "of": "since_last"}, **settings)
