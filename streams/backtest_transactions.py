"""Replays a file of transactions through the live pipeline, offline; a label is learned once its delay has passed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pyarrow as pa

from streams.dead_letters import TOPIC as DEAD_LETTERS
from streams.dead_letters import DeadLetter
from streams.models import TOPIC as MODELS
from streams.processor import Output, Record
from streams.replay_transactions import NO_COLUMNS_NAMED, TransactionColumns, TransactionReplay
from streams.rule_book import RULES, RuleVersion
from streams.tables import Progress, ending_of, must_not_replace, write_table
from streams.transaction_settings import TransactionSettings
from streams.transactions import TransactionProcessor


@dataclass(frozen=True, slots=True)
class TransactionBacktest:
    """What a backtest came to: rows, and how many of them (and of their labels) had which outcome."""

    rows: int
    outcomes: Counter[str]


def backtest_transactions(
    source: Path,
    target: Path,
    settings: TransactionSettings,
    *,
    columns: TransactionColumns = NO_COLUMNS_NAMED,
    label_delay: float = 7 * 86_400.0,
    partitions: int = 4,
    rules: Sequence[RuleVersion] = (),
    models: Path | None = None,
    progress: Progress | None = None,
) -> TransactionBacktest:
    """Decide every transaction of a file as a live run would have, and write one row out for each row in.

    The rows are replayed in the order of their times, each account on the partition that Kafka's default
    partitioner gives it. A label is dated ``label_delay`` after its transaction.

    Parameters
    ----------
    source, target
        Parquet or CSV files, by their endings. The target has the columns ``transaction_id``, ``fraud_score``,
        ``decision`` and ``reasons``; a row that cannot be decided has an empty score and says why.
    settings
        How to decide.
    columns
        Names of the input's columns. Those that declared features go by are attributes without being named.
    label_delay
        Seconds from a transaction to its label.
    partitions
        Number of partitions of the topics; it must be the live one for equal results.
    rules
        Rule sets that count from the first transaction on.
    models
        File for what topic ``models`` would carry, a line of JSON each, one partition after another.
    progress
        Called now and then with the rows done and the rows in all.

    Raises
    ------
    streams.tables.TableError
        If the input cannot be read, lacks a column or is of an unknown kind.

    """
    ending_of(target)
    must_not_replace(source, target)
    declared = settings.declared
    columns = columns.with_attributes((*declared.fields, *declared.numbers), declared.fields)
    replay = TransactionReplay(source, columns, label_delay)
    rows_of = replay.partition(partitions)
    scores: list[float | None] = [None] * len(replay)
    decisions: list[str | None] = [None] * len(replay)
    reasons: list[str] = ["repeats a transaction that was decided before"] * len(replay)
    outcomes: Counter[str] = Counter()
    standings: list[bytes] = []
    untraced = settings.model_copy(update={"traces": "none"})  # nobody would read them
    done = 0
    for partition, rows in enumerate(rows_of):
        processor = TransactionProcessor(untraced, partition)
        processor.absorb([Record(RULES, 0, i, -1.0, one.key, one.encode()) for i, one in enumerate(rules)])
        for chunk, heard in replay.chunks(partition, rows_of, across=settings.labels.across_partitions):
            outcomes += processor.absorb(heard).outcomes
            result = processor.process(chunk)
            outcomes += result.outcomes
            for output in result.outputs:
                row = rows[output.cause.offset]
                if output.topic == "decisions":
                    decision = msgspec.json.decode(output.value, type=_Decided)
                    scores[row], decisions[row] = decision.fraud_score, decision.decision
                    reasons[row] = "; ".join(decision.reasons)
                elif output.topic == MODELS:
                    standings.append(output.value + b"\n")
                elif output.topic == DEAD_LETTERS:
                    reasons[row] = _why(output)
            done += len(chunk)
            if progress is not None:
                progress(done, len(replay))
    if models is not None:
        models.parent.mkdir(parents=True, exist_ok=True)
        models.write_bytes(b"".join(standings))
    write_table(target, _result(replay, scores, decisions, reasons))
    return TransactionBacktest(len(replay), outcomes)


class _Decided(msgspec.Struct):
    fraud_score: float
    decision: str
    reasons: list[str]


def _result(
    replay: TransactionReplay,
    scores: list[float | None],
    decisions: list[str | None],
    reasons: list[str],
) -> pa.Table:
    return pa.table(
        {
            "transaction_id": replay.ids,
            "fraud_score": pa.array(scores, pa.float64()),
            "decision": pa.array(decisions, pa.string()),
            "reasons": pa.array(reasons, pa.string()),
        }
    )


def _why(letter: Output) -> str:
    said = DeadLetter.model_validate_json(letter.value)
    return f"{said.reason}: {said.detail}"
