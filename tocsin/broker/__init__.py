"""Apache Kafka itself, as a child process: for the demo, the tests and trying things out."""

from tocsin.broker.distribution import BrokerError
from tocsin.broker.embedded import EmbeddedKafka

__all__ = ["BrokerError", "EmbeddedKafka"]
