"""The programs that are timed beside each other, each as one process of its own."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

import msgspec

from streams.settings import KafkaSettings
from tocsin.bench.loops.forest import HEIGHT, TREES
from tocsin.broker.children import Children
from tocsin.demo.worker import running_worker


class BenchError(RuntimeError):
    """A benchmark cannot be run; the message says why and what to do."""


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those that are compared.

    Parameters
    ----------
    name
        What it is called, in JSON too.
    loop
        Module of ``tocsin.bench.loops``; ``None`` for Tocsin's own worker.
    settings
        Environment variables of the worker.

    """

    name: str
    loop: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


PARAMETERS = {"n_trees": TREES, "height": HEIGHT}
OWN_CODE = {
    "TOCSIN_TELEMETRY__DETECTOR__NAME": "river",
    "TOCSIN_TELEMETRY__DETECTOR__PIPELINE": _json([{"MinMaxScaler": {}}, {"HalfSpaceTrees": PARAMETERS}]),
}
SAME_MODEL = {
    "TOCSIN_TELEMETRY__DETECTOR__NAME": "river.HalfSpaceTrees",
    "TOCSIN_TELEMETRY__DETECTOR__PARAMETERS": _json(PARAMETERS),
}

CONFLUENT, FAUST, TOCSIN, DEFAULT = "confluent-kafka loop", "plain Faust agent", "tocsin", "tocsin, default detector"
CONTESTANTS = (
    Contestant(CONFLUENT, "confluent_loop"),
    Contestant("aiokafka loop", "aiokafka_loop"),
    Contestant("Quix Streams", "quix_app"),
    Contestant(FAUST, "faust_app"),
    Contestant(TOCSIN, settings=SAME_MODEL),
    Contestant("tocsin, River's own code", settings=OWN_CODE),
    Contestant(DEFAULT),
)
"""All but the last with the same model: River's HalfSpaceTrees(10, 8) behind a MinMaxScaler, for each source.

Tocsin runs it in compiled code, with the same scores to the last bit (``detectors.forest``); and once more as a
pipeline of River, which is River's own code.
"""


def must_be_there(kafka: KafkaSettings, packages: Sequence[str]) -> None:
    """Raise a ``BenchError`` if packages of the extra ``bench`` are not there, or could not reach the brokers."""
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise BenchError(f"{' and '.join(missing)} cannot be imported: pip install 'tocsin[bench]'")
    if kafka.security_protocol != "PLAINTEXT":
        raise BenchError(
            "the benchmark's loops and producers speak to Kafka without TLS and login: unset KAFKA_BOOTSTRAP, and an"
            " embedded Kafka is used"
        )


@contextlib.contextmanager
def running(contestant: Contestant, kafka: KafkaSettings, partitions: int) -> Iterator[None]:
    """Run a contestant in a consumer group of its own, from the beginning of the topic."""
    group = f"bench-{secrets.token_hex(3)}"
    if contestant.loop is None:
        own = kafka.model_copy(update={"group": group})
        with running_worker(own, {**worker_settings(partitions), **contestant.settings}):
            yield
        return
    with contextlib.closing(Children()) as children:
        folder = children.make_folder()
        module = f"tocsin.bench.loops.{contestant.loop}"
        place = [kafka.bootstrap_servers, kafka.topic_prefix, kafka.topic_prefix + group]
        log = folder / "loop.log"
        children.start(1, [sys.executable, "-m", module, *place], log, folder)
        try:
            yield
            if not children.running():
                raise BenchError(f"the {contestant.name} ended: {_last_line(log.read_text(errors='replace'))}")
        finally:
            children.kill(1)


def worker_settings(partitions: int) -> dict[str, str]:
    """Return the environment of Tocsin's worker: its defaults, with a key for the states of River's detectors."""
    return {
        "TOCSIN_TOPICS__PARTITIONS": str(partitions),
        "TOCSIN_STATE__CHECKPOINT_SECONDS": "5",
        "TOCSIN_STATE__KEY": secrets.token_hex(16),
    }


def _last_line(log: str) -> str:
    said: Sequence[str] = [line.strip() for line in log.splitlines() if line.strip()]
    return said[-1][:500] if said else "it said nothing"
