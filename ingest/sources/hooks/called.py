"""A source that is called by its network: who sent it, then what it says, and the runner stores it before the answer goes out.

A call whose signature is right is a sign of life, even when nothing of it is stored: the network still knows our address and
its subscription stands. That is all that can be known, because nobody can be asked what was not sent. With `silence_seconds`
each call promises the next one (a heartbeat with `every_seconds`), so that the promise outlives this process: whoever reads the
log sees that it was broken, even if ingest is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Final

from ingest.sources.base import Heard, Received, Reply, SourceContext
from ingest.sources.hooks.items import Understood
from ingest.sources.hooks.reading import TooManyParts
from ingest.sources.hooks.signatures import Signature
from services.base.clock import Clock
from services.base.errors import ConfigError

LARGE_BYTES: Final = 65_536
"""A larger body is checked and read off the event loop."""
LEAST_SECRET_CHARS: Final = 8
"""Networks give longer ones; what is shorter was typed by mistake, and could be guessed."""

Understand = Callable[[Received, datetime], Understood]
"""Maps a request whose sender is known. Pure; raises nothing but `ValueError`."""
Handshake = Callable[[Received], Reply | None]
"""Answers a question of the network about the address; `None` if the request is none. Raises `Refused`."""


class CalledSource:
    """One connector that is called (protocol `ingest.sources.base.Receiver`)."""

    def __init__(
        self,
        clock: Clock,
        signature: Signature,
        understand: Understand,
        *,
        silence_seconds: float | None = None,
        handshake: Handshake | None = None,
    ) -> None:
        self.silence_seconds = silence_seconds
        self._clock = clock
        self._signature = signature
        self._understand = understand
        self._handshake = handshake

    async def receive(self, request: Received) -> Reply:
        """What is answered, and what was heard. Raises `Refused` (401) and `ValueError` (400)."""
        if self._handshake is not None:
            answer = self._handshake(request)
            if answer is not None:
                return answer
        if request.method != "POST":
            return Reply(405, b"this address takes POST")
        now = self._clock.now()
        try:
            if len(request.body) <= LARGE_BYTES:
                found = self._heard(request, now)
            else:
                found = await asyncio.to_thread(self._heard, request, now)
        except TooManyParts as error:
            return Reply(413, str(error).encode())
        left_out = {why.value: count for why, count in found.left_out.items()}
        return Reply(heard=Heard(items=found.items, authors=found.authors, left_out=left_out))

    async def close(self) -> None:
        """There is nothing to give back."""

    def _heard(self, request: Received, now: datetime) -> Understood:
        self._signature.check(request, now)
        return self._understand(request, now)


def secrets_of(context: SourceContext, name: str) -> list[str]:
    """The secret of this name, and the one that it replaces while both are in use (`_OLD`). Raises `ConfigError` if there is
    none: an open door must be a decision, never an omission."""
    found = [context.secrets[key] for key in (name, f"{name}_old") if context.secrets.get(key)]
    if not found:
        raise ConfigError(f"{variable(context, name)} is not set: without it nobody can prove who calls")
    for secret in found:
        if len(secret) < LEAST_SECRET_CHARS:
            raise ConfigError(f"{variable(context, name)} is shorter than {LEAST_SECRET_CHARS} characters")
    return found


def variable(context: SourceContext, name: str) -> str:
    """The environment variable that holds a secret of this source."""
    return f"FIREBREAK_SOURCE_{context.options.name.upper().replace('-', '_')}_{name.upper()}"
