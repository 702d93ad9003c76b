"""The partition that Kafka's default partitioner chooses for a key."""

from __future__ import annotations

from kafka.partitioner.default import murmur2


def partition_of(key: str | None, partitions: int) -> int:
    """Return the number of the partition; 0 without a key, where any might have been chosen.

    Examples
    --------
    >>> [partition_of(key, 4) for key in ("pump-7", "pump-8", None)]
    [0, 1, 0]

    """
    return 0 if key is None else (int(murmur2(key.encode())) & 0x7FFFFFFF) % partitions
