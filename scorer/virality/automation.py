"""Signs that accounts act on order: the same words from many mouths. Pure; what is remembered is bounded.

A text is remembered as the smallest hashes of its pairs of words (min-wise sketch: Broder, 1997), so that a copy with a word
changed is still a copy. The words themselves are not kept. The other two signs, a young account and arrivals in step, need no
text and are found where engagements are folded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final
from zlib import crc32

HASHES: Final = 4
ALIKE: Final = 3
"""So many of the four must be shared: nine tenths of the copies with a word changed in fifteen, hardly any others."""
HASH_BYTES: Final = 2
"""Kept of each: the low end, because the smallest hashes are much alike at the high end."""
SKETCH_BYTES: Final = HASH_BYTES * HASHES
TEXTS: Final = 16
"""Texts remembered a conversation."""
LEAST_PAIRS: Final = 5
"""Shorter texts prove nothing: many people say "so true"."""
MOST_CHARACTERS: Final = 1_000
_ADDRESS: Final = re.compile(r"https?://\S+|@\w+")
_WORD: Final = re.compile(r"\w+")
_PIECE: Final = 3
"""Letters, where a script does not part its words."""


def sketch(text: str) -> bytes | None:
    """What a text is recognised by; `None` when it is too short to prove anything. Addresses and handles say nothing."""
    words = _WORD.findall(_ADDRESS.sub(" ", text[:MOST_CHARACTERS]).casefold())
    if len(words) <= LEAST_PAIRS and not (joined := "".join(words)).isascii():
        words = [joined[at : at + _PIECE] for at in range(max(0, len(joined) - _PIECE + 1))]
    pairs = {crc32(f"{one} {other}".encode()) for one, other in pairwise(words)}
    if len(pairs) < LEAST_PAIRS:
        return None
    return b"".join((pair & 0xFFFF).to_bytes(HASH_BYTES, "big") for pair in sorted(pairs)[:HASHES])


def is_copy(one: bytes, remembered: bytes) -> bool:
    """Whether a sketch is nearly that of a text `remembered` (sketches, one after the other)."""
    mine = {one[at : at + HASH_BYTES] for at in range(0, SKETCH_BYTES, HASH_BYTES)}
    return any(
        sum(remembered[at : at + HASH_BYTES] in mine for at in range(start, start + SKETCH_BYTES, HASH_BYTES)) >= ALIKE
        for start in range(0, len(remembered), SKETCH_BYTES)
    )


def remembering(one: bytes, remembered: bytes) -> bytes:
    return (remembered + one)[-SKETCH_BYTES * TEXTS :]
