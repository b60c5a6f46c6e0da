"""What every test may ask for, and what none may leave behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# How long an example takes says nothing about what it promises: machines differ, and timings are benchmarks.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

pytest_plugins = ["tests.kafka_fixture", "tests.postgres_fixture"]


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that set up its logs in this process writes to streams that end with its test."""
    yield
    structlog.reset_defaults()
