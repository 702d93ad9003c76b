"""A calibration by itself, for detectors in plain Python."""

from __future__ import annotations

import msgspec
import numpy as np

from detectors.calibration import CALIBRATION, calibrate, p_value_of


class Calibrator(msgspec.Struct, array_like=True):
    """A calibration by itself, for a detector that is written in plain Python; its state is in ``state``.

    A conformal p-value is the share of a source's recent scores that are at least as high (Vovk et al. 2005). Some
    4,000 to 8,000 scores, old ones counting half, are kept in a histogram of ``log(1 + score)`` that knows the middle
    of each bin, and the highest sixteen one by one. Beyond the highest eight the tail is extrapolated: a power law in
    the score, fitted by its mean excess (Hill 1975). However far that reaches, ``n`` scores give no p-value below
    ``1/n³``. A score counts only after some others have come, so that what goes on at the moment is not yet normal.
    Cost: about 3 µs, within compiled code 0.1 µs. State: 0.3 KB.

    References
    ----------
    Vovk, V., Gammerman, A., Shafer, G. (2005). Algorithmic Learning in a Random World. Springer.
    https://doi.org/10.1007/b106715
    Hill, B. M. (1975). A simple general approach to inference about the tail of a distribution.
    Annals of Statistics 3(5), 1163-1174. https://doi.org/10.1214/aos/1176343247

    Examples
    --------
    >>> calibrator = Calibrator()
    >>> usual = [calibrator.process_one(i % 100 / 50) for i in range(1000)]
    >>> round(calibrator.process_one(0.98), 1), calibrator.process_one(30.0) < 1e-4
    (0.5, True)

    """

    state: bytearray = msgspec.field(default_factory=lambda: bytearray(CALIBRATION.itemsize))

    def process_one(self, score: float) -> float:
        """Return the p-value of a raw score that is at least 0, then take it in."""
        return float(calibrate(np.frombuffer(self.state, CALIBRATION)[0], score))

    def p_value(self, score: float) -> float:
        """Return the p-value of a raw score that is at least 0."""
        return float(p_value_of(np.frombuffer(self.state, CALIBRATION)[0], score))
