"""The default detector's one compiled call for an event: into compiled code and back costs as much as a signal."""

from __future__ import annotations

from typing import Any

import numpy as np

from detectors.compiled import compiled
from detectors.judgement import judge
from detectors.signals import arrival, joint

JointParts = tuple[Any, Any, Any, Any, Any, Any]

NO_PARTS: JointParts = (
    np.zeros(1, joint.STATE),
    np.zeros(0),
    np.zeros(0),
    np.zeros((0, 0)),
    np.zeros((0, 0)),
    np.zeros(0),
)
"""In place of the values together, where there is only one."""


@compiled
def judge_event(
    sources: Any,
    values: Any,
    places: Any,
    x: Any,
    t: float,
    joint_places: Any,
    states: Any,
    mean: Any,
    recent: Any,
    covariance: Any,
    precision: Any,
    deviations: Any,
    p_values: Any,
    told: Any,
) -> tuple[float, float, float, float, bool, float]:
    """Judge an event and learn it.

    Parameters
    ----------
    sources, values, places, x, t, p_values, told
        As of ``judge``.
    joint_places
        Place of each value among those that are looked at together, below 0 if it is left out; empty if none are.
    states, mean, recent, covariance, precision, deviations
        What is known of them together: ``Joint.parts``.

    Returns
    -------
    tuple
        p-value of the event, of its values together (below 0 if there is none) and of its arrival; the smallest of all
        signals of single values; whether a value must be learned anew; seconds without an event after which the source
        counts as silent from now on, 0 while unknown.

    """
    joint_p = -1.0
    if len(joint_places) > 0:
        gathered = joint.together(joint_places, x, len(mean))
        joint_p = joint.process(states, mean, recent, covariance, precision, gathered, deviations)
        if not joint.speaks(states[0]):
            joint_p = -1.0
    p_value, arrival_p, anew = judge(sources, values, places, x, t, joint_p, p_values, told)
    lowest = 1.0
    for i in range(p_values.shape[0]):
        for kind in range(p_values.shape[1]):
            lowest = min(lowest, p_values[i, kind])
    return p_value, joint_p, arrival_p, lowest, anew, arrival.silent_after(sources[0].arrival)
