"""How long callers of `tocsin serve` wait for a decision, at a rate of questions.

Run from the repository: ``python -m benchmarks.serve --rates 25,50,100``. It takes an embedded Kafka, a worker and a
server; callers ask over connections of their own, at the given rate whether answers have come or not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
import urllib.request
from dataclasses import asdict, dataclass

import aiohttp
import numpy as np

from benchmarks.service import until
from tocsin.bench.fleet import Fleet, fleet
from tocsin.bench.latency import transactions
from tocsin.broker import EmbeddedKafka
from tocsin.broker.children import Children
from tocsin.demo.settings import worker_environment
from tocsin.demo.worker import free_port

SERVER = 1
TOKEN = "a-token-for-this-run-only"


@dataclass(frozen=True, slots=True)
class Waited:
    """Milliseconds that callers waited, at questions a second; ``decided`` of those ``asked`` were no fall-back."""

    rate: float
    asked: int
    decided: int
    p50: float
    p99: float


def measure(rates: list[float], seconds: float) -> list[Waited]:
    """Ask at each of the rates for so many seconds."""
    with (
        EmbeddedKafka() as broker,
        fleet(broker, "serve", 4) as worker,
        contextlib.closing(_server(worker)) as children,
    ):
        worker.start()
        port = children.port
        until(lambda: _ready(children.health), "the server is ready")
        asyncio.run(_ask(port, 25.0, 5.0, 0))  # what is done for the first time takes longer
        return [asyncio.run(_ask(port, rate, seconds, 10_000 * i)) for i, rate in enumerate(rates, 1)]


class _Serving(Children):
    port: int
    health: int


def _server(worker: Fleet) -> _Serving:
    health, port = free_port(), free_port()
    children = _Serving(worker_environment(os.environ, worker.kafka, health) | {"TOCSIN_SERVE__HOST": "127.0.0.1"})
    children.health, children.port = health, port
    folder = children.make_folder()
    (folder / "tokens").write_text(TOKEN)
    (folder / "tocsin.yaml").write_text(
        json.dumps({"serve": {"port": port, "token_file": str(folder / "tokens"), "timeout": 5}})
    )
    children.start(SERVER, [sys.executable, "-m", "tocsin", "serve"], folder / "serve.log", folder)
    return children


def _ready(port: int) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
        return True
    return False


async def _ask(port: int, rate: float, seconds: float, first: int) -> Waited:
    url, headers = f"http://127.0.0.1:{port}/v1/decisions", {"Authorization": f"Bearer {TOKEN}"}
    waited: list[tuple[float, bool]] = []

    async def one(session: aiohttp.ClientSession, value: bytes) -> None:
        began = time.perf_counter()
        async with session.post(url, data=value, headers=headers) as answer:
            said = await answer.json()
        waited.append((1000 * (time.perf_counter() - began), said.get("fallback") is False))

    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        asyncio.TaskGroup() as callers,
    ):
        began = time.perf_counter()
        for i, (_, _, value) in enumerate(transactions(round(rate * seconds), first)):
            await asyncio.sleep(max(0.0, began + i / rate - time.perf_counter()))
            callers.create_task(one(session, value))
    times = np.array([milliseconds for milliseconds, _ in waited])
    p50, p99 = np.percentile(times, [50, 99])
    return Waited(rate, len(waited), sum(decided for _, decided in waited), float(p50), float(p99))


def main() -> None:
    """Read the command line, run, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--rates", default="25,50,100", help="questions a second, comma-separated")
    parser.add_argument("--seconds", type=float, default=20.0, help="at each rate")
    parser.add_argument("--json", action="store_true", help="end with one JSON object on the last line")
    options = parser.parse_args()
    found = measure([float(rate) for rate in options.rates.split(",")], options.seconds)
    print(f"{'questions/s':>12}{'asked':>8}{'decided':>9}{'p50, ms':>9}{'p99, ms':>9}")
    for one in found:
        print(f"{one.rate:>12g}{one.asked:>8,}{one.decided:>9,}{one.p50:>9.1f}{one.p99:>9.1f}")
    if options.json:
        print(json.dumps([asdict(one) for one in found]))


if __name__ == "__main__":
    main()
