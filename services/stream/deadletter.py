"""A record that will never work is set aside as a dead letter, which says why and where it came from. A flood of them stops
the service: it means that we are wrong and not the records, and stopping is better than setting a day's posts aside.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import Counter

from services.base.clock import Clock
from services.base.errors import FirebreakError
from services.contracts.topics import DEADLETTER
from services.eventlog.base import Message, Record

logger = structlog.get_logger()

REASONS: Final = (
    "empty", "garbage", "unknown_type", "unknown_version", "invalid", "misplaced", "processor_error", "stalled",
    "fatal", "too_large_output",
)  # fmt: skip
"""All reasons there are. Each is counted from zero on: a rate over a series that appears with its first fault misses it."""
MAX_VALUE_BYTES: Final = 400_000
"""How much of the original value is kept: base64 makes it a third larger, and a record has a limit."""


class DeadLetterFlood(FirebreakError):
    """More dead letters in a minute than the operator allows."""


class DeadLetters:
    """Makes and counts the dead letters of one stage, and refuses to make too many."""

    def __init__(self, stage: str, per_minute: int, clock: Clock, counter: Counter) -> None:
        self._stage = stage
        self._per_minute = per_minute
        self._clock = clock
        self._counter = counter
        self._recent: deque[datetime] = deque(maxlen=per_minute)
        for reason in REASONS:
            counter.labels(stage, reason)

    def letter(self, record: Record, reason: str, detail: str) -> Message:
        """Returns the message to append, in the transaction that moves past `record`.

        Raises `DeadLetterFlood` if there were too many in the last minute.
        """
        now = self._clock.now()
        if len(self._recent) == self._per_minute and (now - self._recent[0]).total_seconds() < 60:
            raise DeadLetterFlood(
                f"more than {self._per_minute} dead letters in a minute in {self._stage}, the last for {reason}: {detail}"
            )
        self._recent.append(now)
        self._counter.labels(self._stage, reason).inc()
        place = f"{record.topic}/{record.partition}/{record.offset}"
        logger.warning("dead_letter", stage=self._stage, reason=reason, detail=detail, record=place)
        value = record.value or b""
        body = {
            "reason": reason,
            "detail": detail[:500],
            "stage": self._stage,
            "at": now.isoformat(),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "value_base64": base64.b64encode(value[:MAX_VALUE_BYTES]).decode(),
            "truncated": len(value) > MAX_VALUE_BYTES,
        }
        return Message(DEADLETTER.name, record.key, json.dumps(body).encode())
