"""A hand-written loop with aiokafka."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tocsin.bench.loops.forest import Forests, Place, place


async def run(at: Place) -> None:
    """Consume until ended."""
    consumer = AIOKafkaConsumer(
        at.telemetry, bootstrap_servers=at.servers, group_id=at.group, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=at.servers)
    forests = Forests()
    async with consumer, producer:
        while True:
            for messages in (await consumer.getmany(timeout_ms=100, max_records=500)).values():
                for message in messages:
                    try:
                        alert = forests.alert(message.value)
                    except ValueError:
                        await producer.send(at.dead_letters, message.value, message.key)
                        continue
                    if alert is not None:
                        await producer.send(at.alerts, alert, message.key)
            await asyncio.sleep(0)  # the producer's turn, even while there are records at once


if __name__ == "__main__":
    asyncio.run(run(place()))
