"""When several people drop the same hint, it is one no more: each says only that they are trapped, and five of them within an
hour are a lift that is stuck. Pure."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import msgspec

MANY_VOICES: Final = 5
WITHIN_SECONDS: Final = 3_600.0
MOST_WORDS: Final = 200
"""Hints that are remembered by brand; the one that was dropped longest ago makes room."""


class Hints(msgspec.Struct, array_like=True):
    """Who dropped which hint about one brand lately: by topic and word, a hash of each voice and when it spoke."""

    voices: dict[str, dict[int, float]] = msgspec.field(default_factory=dict)

    def hear(self, topic: str, word: str, voice: str, at: float) -> bool:
        """Remember a hint. Returns True if it makes them many; they are counted anew from then on."""
        key = f"{topic} {word}"
        known = self.voices.pop(key, {})
        lately = {one: said for one, said in known.items() if abs(at - said) <= WITHIN_SECONDS}
        lately[crc32(voice.encode("utf-8", "replace"))] = at
        many = len(lately) >= MANY_VOICES
        if not many:
            self.voices[key] = lately
        while len(self.voices) > MOST_WORDS:
            del self.voices[next(iter(self.voices))]
        return many
