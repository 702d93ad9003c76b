"""From alerts to notifications: routes, groups, silences and inhibition, as one state machine over time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Set
from typing import Any, NamedTuple

import msgspec

from alerts.alert import Alert, State
from alerts.grouping import Group, Member, Told, flush, notifications
from alerts.incident import Incident
from alerts.inhibition import Inhibitor, InhibitRule
from alerts.notification import Notification, NotifiedAlert
from alerts.routing import Destination, Route, Router
from alerts.silences import Silence, Silences
from alerts.suppression import Suppressor

FORMAT = 1
"""Number of the states' form; another one is refused."""

ALERT, GROUP, META = "alert/", "group/", "meta"
OVERFLOW = {"…": "…"}
"""Labels of the group that takes the alerts of a route that has too many groups."""


class StateFormatError(ValueError):
    """A stored state has a form that this version does not read."""


class Outcome(NamedTuple):
    """What has come due: notifications, silences that have ended by themselves, and ids of those to be forgotten."""

    notifications: list[Notification]
    ended: list[Silence]
    forgotten: list[str]


class _Known(msgspec.Struct, array_like=True):
    """An alert, and what the receiver of each of its groups knows of it, by the group's id."""

    alert: NotifiedAlert
    told: dict[str, Told]


class _Meta(msgspec.Struct, array_like=True):
    notifications: int = 0
    matched: tuple[str, ...] = ()


class Dispatcher:
    """All that is to be told, to whom and when.

    It takes changes of alerts and silences as they come, and ``tick`` says what has come due. ``now`` is told to it in
    epoch seconds and is taken never to go back. Equal inputs at equal times give equal notifications, and ``changes``
    since a call are all that another one needs to go on from there.

    Parameters
    ----------
    route
        The tree of routes.
    inhibit_rules
        Which alerts keep others from being told.
    whole
        Receivers that are told of every alert, however many.
    max_alerts
        Most alerts that go on at once; beyond, further ones are counted in ``dropped`` and not told.
    keep_silences
        Seconds that a silence is kept after its end.
    states
        From ``changes``, by key.

    Raises
    ------
    alerts.dispatch.StateFormatError
        If a state is of another form.

    Examples
    --------
    >>> from alerts.alert import Severity
    >>> dispatcher = Dispatcher(Route(receiver="ops", group_wait=30))
    >>> dispatcher.take(0.0, Alert(
    ...     alert_id="a1", stream="telemetry", source="pump-7", kind="spike", state=State.FIRING,
    ...     severity=Severity.WARNING, started_at=0.0, updated_at=0.0, anomaly_score=0.7, p_value=1e-6, summary="…",
    ... ))
    >>> len(dispatcher.tick(29.0).notifications), [one.receiver for one in dispatcher.tick(30.0).notifications]
    (0, ['ops'])

    """

    def __init__(
        self,
        route: Route,
        inhibit_rules: tuple[InhibitRule, ...] = (),
        *,
        whole: Set[str] = frozenset(),
        max_alerts: int = 100_000,
        keep_silences: float = 432_000.0,
        states: Mapping[str, bytes] | None = None,
    ) -> None:
        self._router, self._inhibitor = Router(route), Inhibitor(inhibit_rules)
        self._whole, self._max_alerts, self._keep_silences = whole, max_alerts, keep_silences
        self._known: dict[str, _Known] = {}
        self._groups: dict[str, Group] = {}
        self._members: dict[str, set[str]] = {}
        self._groups_of: dict[str, int] = {}
        self._changed: set[str] = set()
        self._meta = _Meta()
        self.dropped = 0
        self._restore(states or {})
        self.silences = Silences(self._meta.matched)

    @property
    def alerts(self) -> int:
        """Alerts that go on, or are over and that is still to be told."""
        return len(self._known)

    @property
    def groups(self) -> int:
        """Groups that there are now."""
        return len(self._groups)

    def take(self, now: float, alert: Alert, incident: Incident | None = None) -> None:
        """Take in a change of an alert, or of the incident that it stands for.

        One that is older than what is known changes nothing.
        """
        known = self._known.get(alert.alert_id)
        if alert.state is State.PENDING or (known is not None and alert.version <= known.alert.version):
            return
        if alert.state.over:
            if known is not None:
                self._end(known, NotifiedAlert.of(alert, incident))
            return
        if known is None:
            if len(self._known) >= self._max_alerts:
                self.dropped += 1
                return
            known = self._known[alert.alert_id] = _Known(NotifiedAlert.of(alert, incident), {})
        else:
            known.alert = NotifiedAlert.of(alert, incident)
        self._changed.add(ALERT + alert.alert_id)
        self._note(known.alert)
        self._join_groups(known, now)

    def silence(self, silence_id: str, silence: Silence | None) -> None:
        """Take in a silence, or that there is none of this id."""
        active = {key: known.alert.labels for key, known in self._known.items() if not known.alert.state.over}
        self.silences.put(silence_id, silence, active)

    def tick(self, now: float) -> Outcome:
        """Return what has come due by now."""
        matched = self.silences.matched
        ended = self.silences.end_those_that_are_over(now)
        forgotten = self.silences.forget_those_ended_before(now - self._keep_silences)
        made: list[Notification] = []
        due = [key for key, group in self._groups.items() if group.next_flush <= now]
        for key in sorted(due, key=lambda key: (self._groups[key].next_flush, key)):
            made += self._flush(key, now)
        if made or self.silences.matched != matched:
            self._meta = _Meta(self._meta.notifications + len(made), tuple(sorted(self.silences.matched)))
            self._changed.add(META)
        return Outcome(made, ended, forgotten)

    def told_and_firing(self, receiver: str) -> list[NotifiedAlert]:
        """Return the alerts that go on and that a receiver has been told of, for sinks that must hear of them again.

        They have the severity that was told: one that has changed since is still to be told.
        """
        routes = {one.id for one in self._router.by_id.values() if one.receiver == receiver}
        groups = {key for key, group in self._groups.items() if group.route in routes}
        found = []
        for _, known in sorted(self._known.items()):
            told = [one.severity for key, one in known.told.items() if key in groups and one.severity is not None]
            if told and not known.alert.state.over:
                severity = max(told, key=lambda one: one.rank)
                labels = {**known.alert.labels, "severity": severity.value}
                found.append(known.alert.model_copy(update={"severity": severity, "labels": labels}))
        return found

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """Yield the states that have changed since the last call; ``None`` for one that is gone."""
        for key in sorted(self._changed):
            yield key, self._state(key)
        self._changed.clear()

    def _state(self, key: str) -> bytes | None:
        if key == META:
            return _packed(self._meta)
        if key.startswith(GROUP):
            group = self._groups.get(key.removeprefix(GROUP))
            return None if group is None else _packed(group)
        known = self._known.get(key.removeprefix(ALERT))
        if known is None:
            return None
        return _packed([known.alert.model_dump_json().encode(), known.told])

    def _restore(self, states: Mapping[str, bytes]) -> None:
        for key, state in states.items():
            if key == META:
                self._meta = _unpacked(state, _Meta)
            elif key.startswith(GROUP):
                group = _unpacked(state, Group)
                if group.route in self._router.by_id:  # else the route is no longer configured
                    self._add_group(key.removeprefix(GROUP), group)
                else:
                    self._changed.add(key)
        for key in sorted(states):
            if key.startswith(ALERT):
                self._restore_alert(key, states[key])
        # A route that was not there before begins with what goes on.
        for known in self._known.values():
            if not known.alert.state.over:
                self._join_groups(known, float("-inf"))

    def _restore_alert(self, key: str, state: bytes) -> None:
        encoded, told = _unpacked(state, tuple[bytes, dict[str, Told]])
        kept = {group: one for group, one in told.items() if group in self._groups}
        alert = NotifiedAlert.model_validate_json(encoded)
        if len(kept) < len(told):
            self._changed.add(key)
        if alert.state.over and not kept:
            return
        self._known[alert.alert_id] = _Known(alert, kept)
        for group in kept:
            self._members[group].add(alert.alert_id)
        if not alert.state.over:
            self._inhibitor.alert_goes_on(alert.alert_id, alert.labels)

    def _note(self, alert: NotifiedAlert) -> None:
        self._inhibitor.alert_goes_on(alert.alert_id, alert.labels)
        self.silences.alert_goes_on(alert.alert_id, alert.labels)

    def _join_groups(self, known: _Known, now: float) -> None:
        for destination in self._router.destinations(known.alert.labels):
            labels = destination.group_labels(known.alert.labels)
            before = next((key for key in known.told if self._groups[key].route == destination.id), None)
            if before is not None and self._groups[before].labels in (labels, OVERFLOW):
                continue
            # What grows more severe may change groups within a route: what was told goes along.
            told = Told() if before is None else self._leave(known, before)
            key = self._group(destination, labels, now)
            known.told[key] = told
            self._members[key].add(known.alert.alert_id)
            self._changed.add(ALERT + known.alert.alert_id)

    def _group(self, destination: Destination, labels: dict[str, str], now: float) -> str:
        """Return the key of a route's group, which there may not have been; beyond the most, of the last one."""
        key = _group_key(destination.id, labels)
        if key not in self._groups and self._groups_of.get(destination.id, 0) >= destination.max_groups:
            labels = OVERFLOW
            key = _group_key(destination.id, labels)
        if key not in self._groups:
            self._add_group(key, Group(destination.id, labels, now + destination.group_wait))
            self._changed.add(GROUP + key)
        return key

    def _add_group(self, key: str, group: Group) -> None:
        self._groups[key] = group
        self._members.setdefault(key, set())
        self._groups_of[group.route] = self._groups_of.get(group.route, 0) + 1

    def _leave(self, known: _Known, group: str) -> Told:
        self._members[group].discard(known.alert.alert_id)
        return known.told.pop(group)

    def _end(self, known: _Known, alert: NotifiedAlert) -> None:
        """Keep an alert that is over only for those who have been told of it."""
        known.alert = alert
        self._inhibitor.alert_is_over(alert.alert_id)
        self.silences.alert_is_over(alert.alert_id)
        for group in [key for key, told in known.told.items() if told.severity is None]:
            self._leave(known, group)
        self._forget_if_all_know(known)

    def _forget_if_all_know(self, known: _Known) -> None:
        self._changed.add(ALERT + known.alert.alert_id)
        if known.alert.state.over and not known.told:
            del self._known[known.alert.alert_id]

    def _flush(self, key: str, now: float) -> list[Notification]:
        group = self._groups[key]
        destination = self._router.by_id[group.route]
        members = [self._member(self._known[one], key, now) for one in sorted(self._members[key])]
        before = {one.alert.alert_id: msgspec.structs.astuple(one.told) for one in members}
        found = flush(group, members, destination, now)
        for alert, told, _ in members:
            if alert.state.over:
                known = self._known[alert.alert_id]
                self._leave(known, key)
                self._forget_if_all_know(known)
            elif msgspec.structs.astuple(told) != before[alert.alert_id]:
                self._changed.add(ALERT + alert.alert_id)
        self._changed.add(GROUP + key)
        if not self._members[key]:
            del self._groups[key], self._members[key]
            self._groups_of[group.route] -= 1
        if not found.news and not found.newly_suppressed:
            return []
        number = self._meta.notifications
        return notifications(found, group, destination, now, number, whole=destination.receiver in self._whole)

    def _member(self, known: _Known, group: str, now: float) -> Member:
        alert = known.alert
        by: tuple[Suppressor, ...] = ()
        if not alert.state.over:
            by = (
                *self.silences.suppressors(alert.alert_id, alert.labels, now),
                *self._inhibitor.suppressors(alert.labels),
            )
        return Member(alert, known.told[group], by)


def _group_key(route: str, labels: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps([route, sorted(labels.items())]).encode()).hexdigest()[:16]


def _packed(state: Any) -> bytes:
    return bytes([FORMAT]) + msgspec.msgpack.encode(state)


def _unpacked(state: bytes, kind: Any) -> Any:
    if state[0] != FORMAT:
        raise StateFormatError(
            f"a state of the notifier has form {state[0]}, this version reads {FORMAT}: delete its changelog topic, and"
            " it tells of all that fires anew"
        )
    return msgspec.msgpack.decode(state[1:], type=kind)
