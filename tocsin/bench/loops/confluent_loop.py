"""A hand-written loop with confluent-kafka."""

from __future__ import annotations

from confluent_kafka import Consumer, Producer

from tocsin.bench.loops.forest import Forests, Place, place


def run(at: Place) -> None:
    """Consume until ended."""
    consumer = Consumer({"bootstrap.servers": at.servers, "group.id": at.group, "auto.offset.reset": "earliest"})
    producer = Producer({"bootstrap.servers": at.servers})
    forests = Forests()
    consumer.subscribe([at.telemetry])
    while True:
        for message in consumer.consume(500, timeout=0.1):
            if message.error() is not None:
                raise SystemExit(str(message.error()))
            try:
                alert = forests.alert(message.value())
            except ValueError:
                producer.produce(at.dead_letters, message.value(), message.key())
                continue
            if alert is not None:
                producer.produce(at.alerts, alert, message.key())
        producer.poll(0)


if __name__ == "__main__":
    run(place())
