"""aiokafka's loggers, kept to a few lines a minute: with the broker away they write thousands a second.

Nothing is lost silently: the first line that gets through after a silence says how many were suppressed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

LINES_PER_MINUTE: Final = 5
_WINDOW_SECONDS: Final = 60.0


class FewLines(logging.Filter):
    """Lets at most `lines` a minute through. To be attached to one logger."""

    def __init__(self, lines: int = LINES_PER_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = lines
        self._clock = clock
        self._since = float("-inf")
        self._passed = 0
        self._suppressed = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        if now - self._since >= _WINDOW_SECONDS:
            self._since, self._passed = now, 0
        if self._passed >= self._lines:
            self._suppressed += 1
            return False
        self._passed += 1
        if self._suppressed:
            record.msg = f"{record.getMessage()} ({self._suppressed} lines suppressed)"
            record.args = ()
            self._suppressed = 0
        return True


def hush() -> None:
    """Limit every logger of aiokafka. A filter on the parent would not see its children's lines. Idempotent."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if name.partition(".")[0] != "aiokafka" or not isinstance(logger, logging.Logger):
            continue
        if not any(isinstance(one, FewLines) for one in logger.filters):
            logger.addFilter(FewLines())
    parent = logging.getLogger("aiokafka")
    if parent.level == logging.NOTSET:
        parent.setLevel(logging.WARNING)
