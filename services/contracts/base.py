"""What every event and every part of one promises: frozen, strict about unknown fields, times with a zone."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, NewType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

BrandId = NewType("BrandId", str)
AccountId = NewType("AccountId", str)
"""`network:handle`, lower case: a brand's own account on one network."""
ConversationId = NewType("ConversationId", str)
"""`network:root post id`: the key of `firebreak.posts`, so that one lane sees a conversation whole and in order."""
StoryId = NewType("StoryId", str)
"""The conversation in which a story began; a quote of it carries the same story."""
EventId = NewType("EventId", str)

Probability = Annotated[float, Field(ge=0.0, le=1.0)]
Count = Annotated[int, Field(ge=0)]
Time = AwareDatetime


class Part(BaseModel):
    """A piece of an event."""

    # Nearly every string is new: looking for each in a cache costs a sixth of reading an event.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", cache_strings="none")


class Event(Part):
    """Something that travels in an envelope. `TYPE` and `VERSION` name it on the wire."""

    TYPE: ClassVar[str]
    VERSION: ClassVar[int] = 1


def event_id(*parts: object) -> EventId:
    """A deterministic id (128 bit BLAKE2b, hex) of the parts: the same event written twice has the same id."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        piece = str(part).encode("utf-8", "surrogatepass")
        digest.update(len(piece).to_bytes(4, "big"))
        digest.update(piece)
    return EventId(digest.hexdigest())
