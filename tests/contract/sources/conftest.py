"""Every connector through the real runner and the real embedded log, against its network."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from importlib import import_module
from pathlib import Path

import pytest
import structlog

from ingest.sources.secrets import prefix_of
from services.base.clock import ManualClock
from services.eventlog.sqlite import SqliteLog
from tests.contract.sources.life import NAME, NOW, World
from tests.contract.sources.network import Deed, Fault, Network
from tests.contract.sources.networks import NETWORKS


@pytest.fixture(autouse=True)
def _without_pictures_of_tracebacks() -> None:
    """Drawing one takes a second."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(params=NETWORKS)
async def network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Network]:
    module, _, name = NETWORKS[request.param].partition(":")
    made: Network = getattr(import_module(module), name)()
    needed: list[Fault | Deed] = [mark.args[0] for mark in request.node.iter_markers("plays")]
    missing = [one for one in needed if one not in made.faults and one not in made.deeds]
    if missing:
        pytest.skip(f"the network of {request.param} has no {', '.join(missing)}")
    clock = ManualClock(NOW)
    await made.start(clock)
    for secret, value in made.secrets.items():
        monkeypatch.setenv(f"{prefix_of(NAME)}{secret}", value)
    made.clock = clock  # type: ignore[attr-defined]
    yield made
    await made.close()


@pytest.fixture
async def world(network: Network, tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path, network, network.clock)  # type: ignore[attr-defined]
    world.configure({"name": NAME, **network.connector()})
    world.reader = SqliteLog(tmp_path / "log.db", 2, retention=False)
    await world.reader.start()
    yield world
    await world.reader.close()
