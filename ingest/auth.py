"""Decides who may post: API keys by name. After the start only their hashes are in memory, and each of them is compared, in
constant time. Without a configured key nobody may post: an open door must be a decision, never an omission.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

import structlog
from pydantic import SecretStr

from services.base.errors import ConfigError

logger = structlog.get_logger()

MIN_KEY_CHARS: Final = 16
"""A shorter key could be guessed over the network within months."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SETTING: Final = "FIREBREAK_API_KEYS"


class ApiKeys:
    """The keys that may post."""

    def __init__(self, configured: SecretStr) -> None:
        """Raises `ConfigError` if an entry cannot be used. Its message names the entry, and never the key."""
        self._hashes: dict[str, bytes] = {}
        entries = [entry.strip() for entry in configured.get_secret_value().split(",")]
        for number, entry in enumerate(filter(None, entries), start=1):
            name, colon, key = (part.strip() for part in entry.partition(":"))
            if not colon or not _NAME.fullmatch(name):
                raise ConfigError(
                    f"{_SETTING}: entry {number} is not of the form name:key (names: letters, digits, _ . -)"
                )
            if len(key) < MIN_KEY_CHARS:
                raise ConfigError(f"{_SETTING}: the key of {name!r} is too short: {MIN_KEY_CHARS} characters at least")
            if name in self._hashes:
                raise ConfigError(f"{_SETTING}: two keys are named {name!r}")
            digest = _digest(key.encode())
            if digest in self._hashes.values():
                raise ConfigError(f"{_SETTING}: {name!r} has the same key as another name")
            self._hashes[name] = digest
        if not self._hashes:
            logger.warning("ingest_is_closed", why=f"{_SETTING} is empty: every post is refused with 401")

    def __repr__(self) -> str:
        return f"ApiKeys({', '.join(self._hashes)})"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all keys."""
        return tuple(self._hashes)

    def name_of(self, authorization: str | None) -> str | None:
        """The name of the key in an `Authorization: Bearer` header; `None` if it is not a configured one."""
        scheme, _, presented = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        # Headers arrive as Latin-1, whatever was sent: this gives the bytes back.
        digest = _digest(presented.strip().encode("latin-1", "replace"))
        found = None
        for name, known in self._hashes.items():
            if hmac.compare_digest(known, digest):
                found = name  # no early end: the time must not tell which key it was
        return found


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
