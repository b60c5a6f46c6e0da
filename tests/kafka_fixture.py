"""One real Kafka for the whole test session, as the fixture `kafka`. A plugin: `pytest_plugins = ["tests.kafka_fixture"]`.

Without any way to get a broker the tests that want one are skipped, and say so; where CI=true that is a failure.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

from deploy.local_kafka import KafkaUnavailable, LocalKafka


@pytest.fixture(scope="session")
def kafka() -> Iterator[LocalKafka]:
    """The shared broker. Whoever kills or pauses nodes starts a `LocalKafka` of its own."""
    broker = LocalKafka()
    try:
        broker.start()
    except KafkaUnavailable as error:
        why = f"NO KAFKA, NOT TESTED AGAINST THE REAL THING: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)
    try:
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Names of this one test on the shared broker."""
    return f"t{uuid.uuid4().hex[:8]}.{request.node.name[:40].split('[')[0]}."
