"""What every test may ask for, and what none may leave behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import structlog
from hypothesis import HealthCheck, settings

# How long an example takes says nothing about what it promises: machines differ, and timings are benchmarks.
settings.register_profile("house", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# Many processes are started here, and each would compile our modules again where the environment says that nothing is kept.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

LONGEST_FIRST: Final = (
    "integration/test_faults_kafka.py",
    "e2e/test_drills.py",
    "deploy/test_dashboards_live.py",
    "integration/test_kafka_log.py",
    "e2e/test_rolling_update.py",
    "deploy/test_wheel.py",
    "oracle/test_crash_seams.py",
    "integration/alerter/test_api.py",
    "integration/alerter/test_storm.py",
    "integration/alerter/test_crashes.py",
    "integration/alerter/test_nights.py",
    "contract/eventlog/test_eventlog.py",
    "oracle/test_stalls.py",
    "oracle/test_alerter_seams.py",
    "e2e/test_console.py",
    "integration/alerter/test_receivers_in_the_docs.py",
    "integration/test_kafka_hanging.py",
    "deploy/test_chart.py",
    "e2e/test_all_in_one.py",
    "integration/alerter/test_outlets.py",
    "integration/alerter/test_alertmanager.py",
    "e2e/test_cli.py",
    "integration/alerter/test_delivery.py",
    "oracle/test_ingest_seams.py",
    "deploy/test_docs.py",
    "integration/alerter/test_console.py",
)
"""Files that take long, in seconds and not in work: what begins last should end soon."""

pytest_plugins = ["tests.kafka_fixture", "tests.postgres_fixture"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(autouse=True)
def _logs_as_they_were() -> Iterator[None]:
    """A command that set up its logs in this process writes to streams that end with its test."""
    yield
    structlog.reset_defaults()
