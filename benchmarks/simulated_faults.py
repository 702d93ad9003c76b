"""A simulated system of 30 nodes that depend on each other, and faults whose cause is known.

What a node does wrong makes those that depend on it wrong too, some steps later and more or less strongly: each reports
its latency and load every 10 seconds, at a moment of its own. A share of all latency is noise that lasts, and demand
moves everything together. No graph, lag, strength or moment is the same for two seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.happening import ChangeEvent

STEP = 10.0
"""Seconds from one reading of a node to the next."""

LAYERS = {"web": 5, "api": 8, "service": 9, "store": 5, "host": 3}
"""Nodes of each layer; they depend on those of the layers behind them."""

LONGEST_LAG = 4
START = 1_700_000_000.0

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class System:
    """Nodes and what they depend on.

    Parameters
    ----------
    names
        Of the nodes.
    edges
        For each: which node, which one it depends on, how much of its excess latency comes through, after how many
        steps.

    """

    names: tuple[str, ...]
    edges: tuple[tuple[int, int, float, int], ...]

    @classmethod
    def drawn(cls, chance: np.random.Generator, cycles: int = 0) -> System:
        """Return a random system; ``cycles`` of its nodes depend, a little, on one that depends on them."""
        names = tuple(f"{layer}-{i}" for layer, count in LAYERS.items() for i in range(count))
        layer_of = [place for place, count in enumerate(LAYERS.values()) for _ in range(count)]
        edges = []
        for node, layer in enumerate(layer_of):
            behind = [other for other, its in enumerate(layer_of) if layer < its <= layer + 2]
            wanted = 0 if not behind else min(len(behind), int(chance.integers(1, 4)))
            for other in chance.choice(behind, wanted, replace=False) if wanted else ():
                edges.append((node, int(other), float(chance.uniform(0.4, 0.9)), int(chance.integers(1, LONGEST_LAG))))
        for _ in range(cycles):
            node, other, _, _ = edges[int(chance.integers(len(edges)))]
            edges.append((other, node, 0.25, int(chance.integers(1, LONGEST_LAG))))
        return cls(names, tuple(edges))

    def depends_on(self) -> dict[str, tuple[str, ...]]:
        """Return for each node those that it depends on."""
        return {
            name: tuple(dict.fromkeys(self.names[other] for node, other, _, _ in self.edges if node == place))
            for place, name in enumerate(self.names)
        }

    def affected(self, node: int) -> set[int]:
        """Return the nodes that depend on one, directly or not, and itself."""
        found, edge = {node}, [node]
        while edge:
            edge = [a for a, b, _, _ in self.edges if b in edge and a not in found]
            found.update(edge)
        return found

    def spread(self, own: Numbers) -> Numbers:
        """Return each node's excess latency at each step, from what is wrong with itself and with what is behind it."""
        node, other, share, lag = (np.array(column) for column in zip(*self.edges, strict=True))
        excess = own.copy()
        for t in range(len(own)):
            came = share * excess[np.maximum(t - lag, 0), other] * (t >= lag)
            excess[t] += np.bincount(node, came, len(self.names))
        return excess


@dataclass
class Fault:
    """What goes wrong in a scenario, step by step.

    Parameters
    ----------
    causes
        The true ones.
    own
        Excess latency of each node of itself, by step.
    load
        The same of its load.
    unheard
        Whether a node sends nothing, by step.
    every
        Of how many steps a node reports one.
    changes
        What was changed meanwhile.

    """

    causes: tuple[int, ...]
    own: Numbers
    load: Numbers
    unheard: NDArray[np.bool_]
    every: NDArray[np.int64]
    changes: list[ChangeEvent] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """A system with a fault: what is declared of it, what it sends, and what the true causes are."""

    kind: str
    seed: int
    system: System
    fault: Fault
    warm_up: int

    @property
    def causes(self) -> tuple[str, ...]:
        """Names of the nodes that the fault begins with."""
        return tuple(self.system.names[cause] for cause in self.fault.causes)

    @property
    def number(self) -> int:
        """Of this scenario among all."""
        return 1000 * self.seed + list(KINDS).index(self.kind)

    @property
    def begins(self) -> float:
        """Event time of the fault, epoch seconds."""
        return START + STEP * self.warm_up

    def readings(self) -> Iterator[tuple[float, str, dict[str, float]]]:
        """Yield time, source and values in the order of time."""
        yield from readings(self.system, self.fault, np.random.default_rng([self.number, 1]))


def readings(
    system: System, fault: Fault, chance: np.random.Generator, start: float = START
) -> Iterator[tuple[float, str, dict[str, float]]]:
    """Yield what a system sends while a fault lasts: time, source and values, in the order of time."""
    steps, count = fault.own.shape
    excess = system.spread(fault.own)
    noise = _lasting(chance, steps, count, 0.6)
    demand = 1.0 + 0.05 * _lasting(chance, steps, 1, 0.97)
    latency = chance.uniform(20.0, 200.0, count) * (1.0 + 0.12 * noise + excess) * demand**0.5
    load = chance.uniform(20.0, 45.0, count) * demand * (1.0 + 0.05 * chance.normal(size=(steps, count)))
    load = np.minimum(load + fault.load + 3.0 * np.minimum(excess, 5.0), 100.0)
    moment = chance.uniform(0.0, STEP * 0.9, count)
    order = np.argsort(moment)
    for t in range(steps):
        for node in order:
            if not fault.unheard[t, node] and t % fault.every[node] == 0:
                time = round(start + STEP * t + float(moment[node]), 3)
                values = {"latency": max(float(latency[t, node]), 0.1), "load": float(load[t, node])}
                yield time, system.names[node], values


def _lasting(chance: np.random.Generator, steps: int, count: int, share: float) -> Numbers:
    """Return noise of deviation 1, of which each step keeps a share of the one before."""
    noise = chance.normal(size=(steps, count))
    for t in range(1, steps):
        noise[t] = share * noise[t - 1] + np.sqrt(1.0 - share**2) * noise[t]
    return noise


class Draft:
    """A scenario while it is drawn."""

    def __init__(self, seed: int, warm_up: int, lasts: int, cycles: int = 0, system: System | None = None) -> None:
        self.chance = np.random.default_rng([seed, 0])
        self.system = System.drawn(self.chance, cycles) if system is None else system
        self.warm_up, self.steps = warm_up, warm_up + lasts
        count = len(self.system.names)
        self.fault = Fault(
            (),
            np.zeros((self.steps, count)),
            np.zeros((self.steps, count)),
            np.zeros((self.steps, count), bool),
            np.ones(count, np.int64),
        )

    def cause(self, least: int = 3, most: int = 15, besides: tuple[int, ...] = ()) -> int:
        """Draw a node on which some others depend; none of those that ``besides`` has to do with."""
        taken = {node for one in besides for node in self.system.affected(one)}
        able = [
            node
            for node in range(len(self.system.names))
            if least <= len(self.system.affected(node)) <= most
            and not taken & self.system.affected(node)
            and node not in taken
        ]
        chosen = int(self.chance.choice(able or [node for node in range(len(self.system.names)) if node not in taken]))
        self.fault.causes = (*self.fault.causes, chosen)
        return chosen

    def slow(self, node: int, by: float, since: int = 0, ramp: int = 1) -> None:
        """Let a node be slower by so many times its latency from a step of the fault on, reached within a ramp."""
        begins = self.warm_up + since
        rises = np.minimum((np.arange(self.steps - begins) + 1.0) / ramp, 1.0)
        self.fault.own[begins:, node] += by * rises

    def change(self, node: int, kind: str, before: float) -> None:
        """Let a node be changed so many seconds before the fault."""
        name, at = self.system.names[node], START + STEP * self.warm_up - before
        number = len(self.fault.changes)
        self.fault.changes.append(ChangeEvent(change_id=f"{kind}-{number}", kind=kind, source=name, timestamp=at))

    def others(self, count: int) -> list[int]:
        """Draw nodes that no cause affects, nor are causes."""
        affected = {node for cause in self.fault.causes for node in self.system.affected(cause)}
        able = [node for node in range(len(self.system.names)) if node not in affected]
        return [int(node) for node in self.chance.choice(able, min(count, len(able)), replace=False)]

    def by(self, low: float = 1.5, high: float = 4.0) -> float:
        """Draw how bad it is."""
        return float(self.chance.uniform(low, high))


def latency(draft: Draft) -> None:
    """One node becomes slow."""
    draft.slow(draft.cause(), draft.by())


def saturation(draft: Draft) -> None:
    """The load of a node climbs within some minutes, and it becomes slow the more so."""
    node, ramp = draft.cause(), int(draft.chance.integers(12, 40))
    climb = np.minimum((np.arange(draft.steps - draft.warm_up) + 1.0) / ramp, 1.0)
    draft.fault.load[draft.warm_up :, node] += 60.0 * climb
    draft.fault.own[draft.warm_up :, node] += draft.by(2.0, 4.0) * climb**4


def drop_out(draft: Draft) -> None:
    """A node dies: it sends nothing, and what depends on it waits for it."""
    node = draft.cause()
    draft.slow(node, draft.by())
    draft.fault.unheard[draft.warm_up :, node] = True


def drift(draft: Draft) -> None:
    """A node becomes slower and slower."""
    draft.slow(draft.cause(), draft.by(2.0, 4.0), ramp=int(draft.chance.integers(40, 90)))


def shared_cause(draft: Draft) -> None:
    """A host without telemetry becomes slow, and with it all that is on it."""
    hosts = [node for node, name in enumerate(draft.system.names) if name.startswith("host")]
    able = [host for host in hosts if sum(other == host for _, other, _, _ in draft.system.edges) >= 2]
    host = int(draft.chance.choice(able or hosts))
    draft.fault.causes = (host,)
    draft.fault.unheard[:, host] = True
    draft.slow(host, draft.by(2.0, 5.0))


def two_faults(draft: Draft) -> None:
    """Two nodes that have nothing to do with each other become slow within a minute."""
    first = draft.cause(2, 8)
    second = draft.cause(2, 8, besides=(first,))
    draft.slow(first, draft.by())
    draft.slow(second, draft.by(), since=int(draft.chance.integers(0, 6)))


def noise(draft: Draft) -> None:
    """A node becomes slow while four others have a moment of their own."""
    draft.slow(draft.cause(), draft.by())
    for node in draft.others(4):
        at = draft.warm_up + int(draft.chance.integers(-12, 12))
        draft.fault.load[at : at + 2, node] += 40.0


def unheard_cause(draft: Draft) -> None:
    """A node that has never sent anything becomes slow."""
    node = draft.cause()
    draft.slow(node, draft.by(2.0, 5.0))
    draft.fault.unheard[:, node] = True


def innocent_changes(draft: Draft) -> None:
    """A node becomes slow; others were changed shortly before, two of them among those that it makes slow."""
    cause = draft.cause()
    draft.slow(cause, draft.by())
    symptoms = sorted(draft.system.affected(cause) - {cause})
    for node in (*draft.chance.choice(symptoms, min(2, len(symptoms)), replace=False), *draft.others(2)):
        draft.change(int(node), "deploy", float(draft.chance.uniform(30.0, 900.0)))


def guilty_change(draft: Draft) -> None:
    """A node becomes slow after a change to it; others were changed too."""
    cause = draft.cause()
    draft.slow(cause, draft.by())
    draft.change(cause, "configuration", float(draft.chance.uniform(10.0, 120.0)))
    for node in draft.others(3):
        draft.change(node, "deploy", float(draft.chance.uniform(30.0, 900.0)))


def scatter(draft: Draft) -> None:
    """A node is slow now and then."""
    node, by = draft.cause(), draft.by(2.0, 5.0)
    often = draft.chance.random(draft.steps - draft.warm_up) < 0.4
    often[0] = True
    draft.fault.own[draft.warm_up :, node] += by * often


def faint_cause(draft: Draft) -> None:
    """A node becomes a little slow, and those that depend on it much more."""
    node = draft.cause()
    edges = tuple((a, b, 2.5 if b == node else share, lag) for a, b, share, lag in draft.system.edges)
    draft.system = System(draft.system.names, edges)
    draft.slow(node, draft.by(0.6, 0.9))


def seldom_heard(draft: Draft) -> None:
    """A node becomes slow that reports every minute only, so it is heard of later than those that it makes slow."""
    node = draft.cause()
    draft.fault.every[node] = 6
    draft.slow(node, draft.by())


def lossy(draft: Draft) -> None:
    """A node becomes slow while a third of all readings is lost."""
    draft.slow(draft.cause(), draft.by())
    draft.fault.unheard |= draft.chance.random(draft.fault.unheard.shape) < 0.33


KINDS: Mapping[str, tuple[Callable[[Draft], None], int]] = {
    "latency": (latency, 0),
    "saturation": (saturation, 0),
    "drop-out": (drop_out, 0),
    "drift": (drift, 0),
    "shared cause without telemetry": (shared_cause, 0),
    "two faults at once": (two_faults, 0),
    "noise alerts": (noise, 0),
    "cause without telemetry": (unheard_cause, 0),
    "innocent changes": (innocent_changes, 0),
    "cycles": (latency, 4),
    "guilty change": (guilty_change, 0),
    "scatter": (scatter, 0),
    "faint cause": (faint_cause, 0),
    "cause seldom heard": (seldom_heard, 0),
    "lossy telemetry": (lossy, 0),
}
"""What each kind does to a draft, and how many cycles its graph has."""

DESIGNED_ON = tuple(KINDS)[:10]
"""Kinds on which the diagnosis was designed; the others were only reported on."""


def scenario(kind: str, seed: int, system: System | None = None, warm_up: int = 600, lasts: int = 120) -> Scenario:
    """Return a scenario; the same kind, seed and system, if it is not to be drawn, give the same one."""
    draw, cycles = KINDS[kind]
    draft = Draft(1000 * seed + list(KINDS).index(kind), warm_up, lasts, cycles, system)
    draw(draft)
    return Scenario(kind, seed, draft.system, draft.fault, warm_up)
