"""How long to wait before trying again: exponential, bounded, with full jitter (Brooker, AWS, 2015)."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first: float, most: float, rng: random.Random | None = None) -> Iterator[float]:
    """Yields waits in seconds without end. Each is drawn from [wait/2, wait]; `wait` doubles from `first` up to `most`."""
    draw = rng or random.Random()  # noqa: S311 - jitter, no secret
    wait = first
    while True:
        yield draw.uniform(wait / 2, wait)
        wait = min(most, wait * 2)
