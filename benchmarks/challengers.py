"""Measures whether promotions are right: a worse challenger never, a better one always, and after how many labels.

    python -m benchmarks.challengers                    100 simulations, about twenty minutes
    python -m benchmarks.challengers --simulations 10   fewer

Each simulation is a stream of payments with one fraud in 125 and labels that come 3,000 payments late. Fraud has three
kinds: unusual amounts, compromised counterparties, and bursts. The two models go through the contest of
the live service, with its default gate. In half of the simulations the challenger is better: it sees features that the
champion does not, or learns at a better pace. In the others the two have changed places, or are the same. Every other
challenger enters late, when the champion has learned 5,000 labels and it none.

Each stream is run to its end, whoever has been promoted. So how much better a challenger was is measured over all
labels that both were judged by, and does not flatter those that were promoted at a lucky moment.
"""

from __future__ import annotations

import argparse
import json
import statistics
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.transactions import ClassifierSettings, Contest, DecisionSettings, PromotionSettings
from detectors.transactions.contest import DEFAULT
from detectors.transactions.model import CURVES, FEATURES, make_classifier

Numbers = NDArray[np.float64]

MOST_LABELS = 200_000
FRAUDS = 1 / 125
DELAY = 3_000
HEAD_START = 5_000

SIGNS = {
    "amount": ("amount", "amount_to_mean", "amount_to_maximum_30d", "amount_deviation", "amount_surprise"),
    "counterparty": ("counterparty_risk_30d", "counterparty_last_labels", "amount_to_counterparty_mean"),
    "burst": ("count_1h", "count_1d_to_habit", "sum_1d_to_habit", "velocity_surprise"),
}
"""Features that are larger in each kind of fraud."""

GOOD = ClassifierSettings()
POOR = {
    "does not see amounts": ClassifierSettings(without=frozenset(SIGNS["amount"])),
    "does not see counterparties": ClassifierSettings(without=frozenset(SIGNS["counterparty"])),
    "does not see bursts": ClassifierSettings(without=frozenset(SIGNS["burst"])),
    "learns ten times slower": ClassifierSettings(learning_rate=0.02),
    "learns four times slower": ClassifierSettings(learning_rate=0.05),
}


SIZES = (-1.0, 0.0, 0.02, 0.04, 0.06, 0.08, 1.0)
"""Advantages by which the better ones are told apart."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """One stream, and what became of the challenger.

    ``labels`` and ``frauds`` are those that both had been judged by when it was promoted, or at the end; ``advantage``
    is the share by which its loss was below the champion's over the whole stream.
    """

    seed: int
    better: bool
    about: str
    late: bool
    promoted: bool
    labels: int
    frauds: int
    advantage: float


@dataclass(slots=True)
class Tally:
    """The losses of both models on the labels that both were judged by."""

    labels: int = 0
    frauds: int = 0
    champion: float = 0.0
    challenger: float = 0.0

    def count(self, champion: float, challenger: float, truth: bool) -> None:
        """Take a label."""
        self.labels += 1
        self.frauds += truth
        self.champion += (champion - truth) ** 2
        self.challenger += (challenger - truth) ** 2

    @property
    def advantage(self) -> float:
        """Share by which the challenger's loss is below the champion's."""
        return 1.0 - self.challenger / self.champion if self.champion else 0.0


def payments(seed: int, count: int) -> Iterator[tuple[bytes, bool]]:
    """Yield features and truth of simulated payments."""
    chance = np.random.default_rng(seed)
    low = np.array([CURVES[name].low for name in FEATURES])
    high = np.array([CURVES[name].high for name in FEATURES])
    kinds = [np.isin(FEATURES, names) for names in SIGNS.values()]
    shift = chance.uniform(0.25, 0.45, len(kinds))
    for _ in range(0, count, 1_000):
        fraud = chance.random(1_000) < FRAUDS
        kind = chance.integers(0, len(kinds), 1_000)
        # Most values lie low on their scales; those that betray a fraud lie higher, more or less.
        place = chance.beta(2.0, 6.0, (1_000, len(FEATURES)))
        strength = chance.gamma(4.0, 0.25, (1_000, 1))
        for number, signs in enumerate(kinds):
            place += shift[number] * strength * np.outer(fraud & (kind == number), signs)
        for row, truth in zip(low + (high - low) * place, fraud.tolist(), strict=True):
            yield array("f", row.tolist()).tobytes(), truth


def simulate(seed: int, gate: PromotionSettings, *, better: bool, most_labels: int = MOST_LABELS) -> Simulation:
    """Let a challenger that is better than the champion, or is not, run to the end of the stream."""
    names = [*POOR, *(() if better else ("is the same",))]
    about = names[seed % len(names)]
    poor, late = POOR.get(about, GOOD), seed // len(names) % 2 == 1
    champion, challenger = (poor, GOOD) if better else (GOOD, poor)
    default = make_classifier(champion)
    decision = DecisionSettings()
    stream = payments(seed, most_labels + DELAY + HEAD_START + 1_000)
    contest = Contest(default, {} if late else {"challenger": challenger}, gate, decision)
    waiting: deque[tuple[bytes, dict[int, float], bool]] = deque()
    labels, tally = 0, Tally()
    won: tuple[int, int] | None = None
    for features, fraud in stream:
        waiting.append((features, contest.score(features)[1], fraud))
        if len(waiting) <= DELAY:
            continue
        then, scores, truth = waiting.popleft()
        said = contest.by_name(scores)
        if len(said) > 1:
            tally.count(said[DEFAULT], said["challenger"], truth)
        contest.learn(then, scores, 50.0, fraud=truth, at=float(labels))
        labels += 1
        if won is None and contest.champion != DEFAULT:
            won = tally.labels, tally.frauds
        if late and labels == HEAD_START:
            contest = Contest(default, {"challenger": challenger}, gate, decision, contest.snapshot(), float(labels))
        if labels == most_labels + late * HEAD_START:
            break
    judged, frauds = won or (tally.labels, tally.frauds)
    return Simulation(seed, better, about, late, won is not None, judged, frauds, tally.advantage)


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=100, help="half of them with a better challenger")
    parser.add_argument("--labels", type=int, default=MOST_LABELS, help="length of a stream")
    parser.add_argument("--margin", type=float, default=PromotionSettings().margin)
    parser.add_argument("--confidence", type=float, default=PromotionSettings().confidence)
    parser.add_argument("--json", action="store_true", help="what programs read, on the last line")
    asked = parser.parse_args(arguments)
    gate = PromotionSettings(automatic=True, margin=asked.margin, confidence=asked.confidence)
    found = []
    for seed in range(asked.simulations // 2):
        for better in (True, False):
            one = simulate(seed, gate, better=better, most_labels=asked.labels)
            found.append(one)
            what = "promoted" if one.promoted else "not promoted"
            whose = f"champion {one.about}" if better else f"challenger {one.about}"
            late = ", late" if one.late else ""
            print(
                f"{seed:3d} {whose}{late}: {what} at {one.labels:,} labels with {one.frauds} frauds,"
                f" loss {one.advantage:+.1%} better",
                flush=True,
            )
    print(summary(found))
    if asked.json:
        print(json.dumps([asdict(one) for one in found]))


def summary(found: Sequence[Simulation]) -> str:
    """Return what the simulations come to."""
    better = [one for one in found if one.better]
    rightly = [one for one in better if one.promoted]
    wrongly = sum(one.promoted for one in found if not one.better)
    labels, frauds = [one.labels for one in rightly], [one.frauds for one in rightly]
    lines = [
        f"promoted wrongly: {wrongly} of {len(found) - len(better)}",
        f"promoted rightly: {len(rightly)} of {len(better)}",
    ]
    if rightly:
        lines.append(
            f"labels until then: median {statistics.median(labels):,.0f}, most {max(labels):,};"
            f" frauds among them: median {statistics.median(frauds):,.0f}, most {max(frauds):,}"
        )
    for low, high in pairwise(SIZES):
        those = [one.promoted for one in better if low <= one.advantage < high]
        if those:
            lines.append(
                f"of those whose loss was {low:.0%} to {high:.0%} below the champion's: {sum(those)} of {len(those)}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
