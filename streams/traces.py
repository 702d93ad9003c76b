"""The trace of a decision as topic ``scores`` carries it: readable where people look, packed where programs do."""

from __future__ import annotations

import base64
import binascii
from functools import cache
from importlib.metadata import version

import msgspec

from alerts.step import Step
from alerts.trace import Trace, TraceError
from streams.packed import pack, unpack


class TraceRecord(msgspec.Struct):
    """What a decision rested on, and who decided.

    ``tocsin``, ``detector`` and ``detector_format`` are versions of the model: of the program, the detector's name, and
    the format of its state. ``policies`` are the applied policies that governed the source, ``alerts`` the ids of those
    that the event changed. ``data`` holds all of it, for ``tocsin explain``: it decides again, bit for bit.
    """

    tocsin: str
    detector: str
    detector_format: int
    policies: list[str]
    alerts: list[str]
    data: str

    def trace(self) -> Trace:
        """Return the trace.

        Raises
        ------
        alerts.trace.TraceError
            If it cannot be read.

        """
        try:
            return Trace.decode(unpack(base64.b64decode(self.data, validate=True)))
        except binascii.Error as error:
            raise TraceError(f"the trace is damaged: {error}") from error


class Model(msgspec.Struct, frozen=True):
    """Which model decides: the detector's name, and the format of its state."""

    detector: str
    detector_format: int

    def traced(self, step: Step) -> TraceRecord | None:
        """Return the trace of a step, ``None`` if there was nothing to decide."""
        if step.trace is None:
            return None
        return TraceRecord(
            program(),
            self.detector,
            self.detector_format,
            [str(one) for one in step.trace.ruling.versions],
            list(dict.fromkeys(alert.alert_id for alert in step.changes)),
            base64.b64encode(pack(step.trace.encode())).decode(),
        )


@cache
def program() -> str:
    """Return the version of Tocsin."""
    return version("tocsin")
