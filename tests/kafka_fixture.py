"""One real Kafka for the whole test run, as the fixture `kafka`. A plugin: `pytest_plugins = ["tests.kafka_fixture"]`.

Where several workers run the tests, the first that wants it starts it for all. Without any way to get a broker the tests
that want one are skipped, and say so; where CI=true that is a failure.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.kafka_nodes import answers
from deploy.local_kafka import KafkaUnavailable, LocalKafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """The shared broker. Whoever kills or pauses nodes starts a `LocalKafka` of its own."""
    try:
        if "PYTEST_XDIST_WORKER" in os.environ and not LocalKafka().given:
            with _shared(tmp_path_factory.getbasetemp().parent) as broker:
                yield broker
        else:
            with LocalKafka() as broker:
                yield broker
    except KafkaUnavailable as error:
        why = f"NO KAFKA, NOT TESTED AGAINST THE REAL THING: {error}"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(why)
        pytest.skip(why)


class _Borrowed(LocalKafka):
    """A broker that another worker has started."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__()
        self._bootstrap = bootstrap

    @property
    def bootstrap(self) -> str:
        return self._bootstrap


@contextmanager
def _shared(folder: Path) -> Iterator[LocalKafka]:
    """Whoever uses the broker holds a shared lock; the worker that started it stops it when nobody does any more."""
    known = folder / "kafka.bootstrap"
    with (folder / "kafka.door").open("w") as door, (folder / "kafka.users").open("w") as users:
        fcntl.flock(door, fcntl.LOCK_EX)
        bootstrap = known.read_text() if known.exists() else ""
        if bootstrap and answers(int(bootstrap.rpartition(":")[2])):
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield _Borrowed(bootstrap)
            return
        with LocalKafka() as broker:
            known.write_text(broker.bootstrap)
            fcntl.flock(users, fcntl.LOCK_SH)
            fcntl.flock(door, fcntl.LOCK_UN)
            yield broker
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_EX)
            known.unlink()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Names of this one test on the shared broker."""
    return f"t{uuid.uuid4().hex[:8]}.{request.node.name[:40].split('[')[0]}."
