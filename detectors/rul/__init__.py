"""How long a machine will last: remaining useful life from its sensors, learned from machines that have failed."""

from detectors.rul.condition import Condition, Layout
from detectors.rul.fleet import Fleet, Life
from detectors.rul.rows import History

__all__ = ["Condition", "Fleet", "History", "Layout", "Life"]
