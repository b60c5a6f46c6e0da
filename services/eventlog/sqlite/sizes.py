"""How large a record may be: the same as on Kafka, so that what fits one log fits the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.eventlog.base import Message, TooLarge

MAX_RECORD_BYTES: Final = 950_000


def check_sizes(messages: Iterable[Message]) -> None:
    for message in messages:
        size = len(message.value or b"") + len(message.key)
        if size > MAX_RECORD_BYTES:
            raise TooLarge(
                f"a record of {size} bytes for {message.topic} (key {message.key[:80]!r}); at most {MAX_RECORD_BYTES}"
            )
