"""Named seams at which a test may end or stop this process, to prove that nothing depends on luck.

`FIREBREAK_CRASH_AT=seam[:nth[:kill|stop]]` arms one seam: the nth pass (from 1) sends the process SIGKILL or SIGSTOP.
Not armed, a seam costs one comparison.
"""

from __future__ import annotations

import os
import signal
from typing import Final

SEAMS: Final = (
    "lane.assigned",
    "lane.acquired",
    "lane.processed",
    "tx.begun",
    "tx.outputs",
    "tx.state",
    "tx.progress",
    "tx.committing",
    "tx.committed",
    "ingest.appending",
    "ingest.appended",
    "source.heard",
    "source.stored",
    "alerter.begun",
    "alerter.committed",
    "delivery.claimed",
    "delivery.sent",
    "delivery.recorded",
)


def _armed() -> tuple[str, int, str] | None:
    raw = os.environ.get("FIREBREAK_CRASH_AT")
    if not raw:
        return None
    seam, _, rest = raw.partition(":")
    nth, _, action = rest.partition(":")
    if seam not in SEAMS:
        raise ValueError(f"FIREBREAK_CRASH_AT: there is no seam {seam!r}; the seams are {', '.join(SEAMS)}")
    return seam, int(nth or 1), action or "kill"


_ARMED: Final = _armed()
_passes = 0


def seam(name: str) -> None:
    """End or stop this process if the seam `name` is armed and this is its nth pass. Otherwise nothing happens."""
    global _passes  # noqa: PLW0603 - one counter for the one armed seam of this process
    if _ARMED is None or _ARMED[0] != name:
        return
    _passes += 1
    if _passes == _ARMED[1]:
        os.kill(os.getpid(), signal.SIGSTOP if _ARMED[2] == "stop" else signal.SIGKILL)
