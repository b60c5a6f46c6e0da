"""Says whether a piece of work takes time in proportion to its text, on a machine that others use too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

SMALL: Final = 4_000
TIMES: Final = 8
MOST: Final = 4.0
"""How much longer than in proportion the large text may take. What takes the square of it takes eight times as long."""
ROUNDS: Final = 5


def grows_no_faster(work: Callable[[str], object], text_of: Callable[[int], str]) -> bool:
    """Returns True if `work` on a text that is eight times as long takes about eight times the processor's time.

    Noise only adds, so the least of a few measurements counts, and one good comparison is enough.
    """
    small, large = text_of(SMALL), text_of(SMALL * TIMES)
    work(small)
    least_small = least_large = float("inf")
    for _ in range(ROUNDS):
        least_small = min(least_small, _seconds(work, small))
        least_large = min(least_large, _seconds(work, large))
        if least_large <= MOST * TIMES * max(least_small, 1e-4):
            return True
    return False


def _seconds(work: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    work(text)
    return time.process_time() - began
