"""When to maintain, weighed by what a failure and what early maintenance cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.rul.advice import Costs, Outlook, advise, plan

WORN = Outlook(200.0, (5.0, 10.0, 20.0, 40.0), (0.1, 0.4, 0.8, 1.0))
NEW = Outlook(10.0, (50.0, 100.0), (0.0, 0.01))


def test_the_dearer_a_failure_the_sooner_to_act() -> None:
    waits = [advise(WORN, Costs(failure, 1.0)).within for failure in (1.1, 3.0, 30.0)]
    assert waits == sorted(waits, reverse=True)
    assert waits[0] > waits[-1]


def test_a_machine_as_good_as_new_can_wait() -> None:
    assert advise(NEW, Costs(50.0, 5.0)).within == pytest.approx(100, abs=51)
    assert advise(NEW, Costs(50.0, 5.0)).risk <= 0.01


@given(
    st.floats(1.0, 500.0),
    st.lists(st.floats(0.0, 1.0), min_size=3, max_size=3),
    st.floats(0.1, 10.0),
    st.floats(1.01, 100.0),
)
def test_no_other_time_is_cheaper_by_the_rate(age: float, failing: list[float], early: float, times: float) -> None:
    outlook, costs = Outlook(age, (10.0, 20.0, 30.0), sorted(failing)), Costs(early * times, early)
    found = advise(outlook, costs)
    assert found.cost_rate <= min(found.cost_rate_now, found.cost_rate_last) + 1e-12
    assert 0.0 <= found.risk <= 1.0


def test_a_failure_must_cost_more_than_what_prevents_it() -> None:
    with pytest.raises(ValueError, match="must cost more"):
        Costs(1.0, 2.0)


def test_a_week_takes_no_more_than_it_can_and_who_loses_most_goes_first() -> None:
    outlooks = {f"m{i}": Outlook(200.0, (7.0, 14.0, 28.0), (0.05 * i, 0.2 * i, 1.0)) for i in range(1, 5)}
    found, later = plan(outlooks | {"new": NEW}, Costs(100.0, 5.0), a_week=1, per_week=7.0, weeks=6)
    assert later == ["new"]
    assert len({one.week for one in found}) == len(found) == 4
    assert found[0].machine == "m4"


def test_what_finds_no_room_is_told() -> None:
    outlooks = {f"m{i}": WORN for i in range(5)}
    found, later = plan(outlooks, Costs(100.0, 5.0), a_week=1, per_week=7.0, weeks=2)
    assert (len(found), len(later)) == (2, 3)


def test_with_room_for_all_everyone_gets_the_best_week() -> None:
    outlooks = {f"m{i}": Outlook(100.0, (7.0, 14.0, 60.0), (0.0, 0.1 * i, 1.0)) for i in range(5)}
    found, _ = plan(outlooks, Costs(20.0, 5.0), a_week=5, per_week=7.0, weeks=10)
    assert np.allclose([one.extra for one in found], 0.0)
