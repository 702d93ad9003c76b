"""The benchmark of early warnings, in a short form."""

from __future__ import annotations

import itertools

from benchmarks.early_warnings import play, simulated, summary


def test_a_ramp_is_warned_of_and_a_quiet_source_is_not() -> None:
    scenarios = list(itertools.islice(simulated(seed=1), 44))
    ramp, quiet = play(scenarios[0]), play(scenarios[40])
    assert ramp.is_ramp
    assert ramp.lead > 0.2
    assert (quiet.right, quiet.false) == (0, 0)
    assert summary([ramp, quiet])["warned"] == 1
