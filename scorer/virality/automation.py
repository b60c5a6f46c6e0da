"""A sign that accounts act on order: many of them say the same. Pure; what is remembered is bounded.

A text is remembered as the smallest hashes of its pairs of words (min-wise sketch: Broder, 1997), so that a copy with a word
changed is still recognised. The words themselves are not kept. The other two signs, a young account and arrivals in step,
need no text; they are found where engagements are folded.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final
from zlib import crc32

HASHES: Final = 4
ALIKE: Final = 3
"""Two texts are copies if so many of the four hashes are the same. That finds nine tenths of the copies in which one word in
fifteen was changed, and hardly any other pair of texts."""
HASH_BYTES: Final = 2
"""Bytes kept of each hash: the low ones, because the smallest hashes hardly differ in their high ones."""
SKETCH_BYTES: Final = HASH_BYTES * HASHES
TEXTS: Final = 16
"""Texts remembered for each conversation."""
LEAST_PAIRS: Final = 5
"""Texts with fewer pairs of words prove nothing: many people say "so true"."""
MOST_CHARACTERS: Final = 1_000
_ADDRESS: Final = re.compile(r"https?://\S+|@\w+")
_WORD: Final = re.compile(r"\w+")
_PIECE: Final = 3
"""Letters that stand for a word in a script that writes no spaces."""


def sketch(text: str) -> bytes | None:
    """The hashes by which a text is recognised; `None` if it is too short to prove anything. Addresses and handles in it are
    left out."""
    words = _WORD.findall(_ADDRESS.sub(" ", text[:MOST_CHARACTERS]).casefold())
    if len(words) <= LEAST_PAIRS and not (joined := "".join(words)).isascii():
        words = [joined[at : at + _PIECE] for at in range(max(0, len(joined) - _PIECE + 1))]
    pairs = {crc32(f"{one} {other}".encode()) for one, other in pairwise(words)}
    if len(pairs) < LEAST_PAIRS:
        return None
    return b"".join((pair & 0xFFFF).to_bytes(HASH_BYTES, "big") for pair in sorted(pairs)[:HASHES])


def is_copy(one: bytes, remembered: bytes) -> bool:
    """Returns True if the sketch `one` is nearly the same as one of those in `remembered`, which follow each other."""
    mine = {one[at : at + HASH_BYTES] for at in range(0, SKETCH_BYTES, HASH_BYTES)}
    return any(
        sum(remembered[at : at + HASH_BYTES] in mine for at in range(start, start + SKETCH_BYTES, HASH_BYTES)) >= ALIKE
        for start in range(0, len(remembered), SKETCH_BYTES)
    )


def remembering(one: bytes, remembered: bytes) -> bytes:
    """The sketches `remembered` with `one` at the end, and without the oldest where there are too many."""
    return (remembered + one)[-SKETCH_BYTES * TEXTS :]


def says_the_same(one: str, other: str) -> bool:
    """Returns True if two texts are the same but for a word or two, for addresses and for handles."""
    if not one or not other:
        return False
    if one == other or (_plain(one) and _plain(one) == _plain(other)):
        return True
    mine, theirs = sketch(one), sketch(other)
    return mine is not None and theirs is not None and is_copy(mine, theirs)


def _plain(text: str) -> list[str]:
    return _WORD.findall(_ADDRESS.sub(" ", text[:MOST_CHARACTERS]).casefold())
