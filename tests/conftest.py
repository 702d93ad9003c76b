"""What tests in several folders need: a real Kafka, topics of their own, and the public data."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tocsin.broker import EmbeddedKafka

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def kafka() -> Iterator[EmbeddedKafka]:
    """An Apache Kafka of one node that all tests share: give each topic the test's own prefix."""
    with EmbeddedKafka() as running:
        yield running


@pytest.fixture(scope="module")
def kafka_cluster() -> Iterator[EmbeddedKafka]:
    """An Apache Kafka of three nodes, which tests may stop and kill."""
    with EmbeddedKafka(nodes=3) as running:
        yield running


@pytest.fixture
def topic_prefix() -> str:
    """Prefix of topic and group names that no other test has."""
    return f"test-{uuid.uuid4().hex[:8]}-"


@pytest.fixture(scope="session")
def data() -> Path:
    """Folder of the public data with labels, which is no part of the project."""
    folder = Path(os.environ.get("TOCSIN_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        message = f"the public test data is not at {folder}: set TOCSIN_DATA to its folder"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
