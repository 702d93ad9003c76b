"""An account: its history, and the life of its alerts."""

from __future__ import annotations

import math
from typing import Final

import msgspec

from alerts.lifecycle import Lifecycle
from alerts.policies import Ruling
from alerts.policy import Policy
from detectors.transactions import AccountHistory, FraudModelSettings
from detectors.transactions.snapshots import decode_state

STREAM: Final = "transactions"


class Account:
    """An account's history and the life of its alerts; ``heard`` is when the last of its transactions was produced."""

    def __init__(self, name: str, settings: FraudModelSettings, policy: Policy) -> None:
        self.name = name
        self.era: object = None
        self.history = AccountHistory(settings.known_counterparties, large=settings.large)
        self.alerts = Lifecycle(STREAM, name, policy)
        self.newest = self.heard = -math.inf
        self.suspicion = ""

    def govern(self, ruling: Ruling) -> None:
        """Let another policy count for its alerts from now on."""
        self.alerts.govern(ruling)

    def snapshot(self) -> bytes:
        """Return the account in a compact, versioned, non-executable form."""
        alerts, history = self.alerts.snapshot(), self.history.snapshot()
        return msgspec.msgpack.encode(_AccountState(1, self.newest, self.suspicion, alerts, history, self.heard))

    def restore(self, state: bytes) -> None:
        """Take up an account that ``snapshot`` gave."""
        saved = decode_state(state, _AccountState, 1)
        self.newest, self.suspicion, self.heard = saved.newest, saved.suspicion, saved.heard
        self.alerts.restore(saved.alerts)
        self.history.restore(saved.history)


class _AccountState(msgspec.Struct, array_like=True, frozen=True):
    version: int
    newest: float
    suspicion: str
    alerts: list[object]
    history: bytes
    heard: float = -math.inf
