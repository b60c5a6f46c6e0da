"""How long the tests' own process waits for a log and for processes that it started: for as long as they may need.

The product's limits are for somebody who waits for an answer. Eight scenes that begin at once on a Kafka that has just
started, on a slow machine, need longer, and what they prove has nothing to do with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final
from unittest.mock import patch

PATIENCE_SECONDS: Final = 240.0
"""For anything; a loaded machine with two cores is slow, and a wait ends when its condition holds."""


REQUEST_SECONDS: Final = 30.0
"""For one request: six times what the product allows, and a small part of all patience, because a broker that is gone never
answers, and only a limit makes a client ask another one."""


@contextmanager
def patient() -> Iterator[None]:
    """In this process only: those that are under test keep the product's limits."""
    from services.eventlog.kafka import appender, offsets, topics, wire
    from services.tools.drills import installation

    with ExitStack() as stack:
        for module, name, value in (
            (appender, "APPEND_SECONDS", REQUEST_SECONDS),
            (offsets, "ANSWER_SECONDS", REQUEST_SECONDS),
            (topics, "CREATE_SECONDS", PATIENCE_SECONDS),
            (wire, "REQUEST_MS", int(REQUEST_SECONDS * 1000)),
            (installation, "START_SECONDS", PATIENCE_SECONDS),
            (installation, "STOP_SECONDS", PATIENCE_SECONDS),
        ):
            stack.enter_context(patch.object(module, name, value))
        yield
