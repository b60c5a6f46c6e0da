"""What the fake network of a connector must be able to do, so that one suite can hold every connector to the contract of
`ingest.sources.base`.

A network is as its real one is: same addresses, same frames, same errors. It keeps what was written to it, and answers from
that. The suite runs the real connector, the real runner and the real embedded log against it; time is a manual clock that the
suite moves by `pace_seconds` until what it waits for is there. So nothing in a network may sleep or look at another clock.

To add a connector: a module `tests/contract/sources/KIND.py` with a class that is called without arguments, and a line in
`networks.py`. What the network cannot do is left out of `deeds` and `faults`; those cases are skipped, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, Protocol

from services.base.clock import Clock

BRAND: Final = "acme"
HANDLE: Final = "acmeair"
"""The suite's brand. Its name is `Acme Air`, and it has this account on the network. Each text of the suite names it."""


class Deed(StrEnum):
    """What people do on a network."""

    MENTION = "mention"
    REPLY = "reply"
    QUOTE = "quote"
    REPOST = "repost"
    DELETION = "deletion"


class Fault(StrEnum):
    """What goes wrong. Each lasts until `mend`."""

    CUT = "cut"
    """What is connected is cut off, once; connecting again works. Nothing to mend."""
    AWAY = "away"
    """Nobody answers. What is written meanwhile is kept, as the real network would keep it."""
    REFUSAL = "refusal"
    """Our credentials are revoked."""
    STORM = "storm"
    """429 with `Retry-After: 120`, or what the network says instead."""
    SILENCE = "silence"
    """The stream stays open and nothing comes, though posts are written; other questions are answered."""
    FORGETTING = "forgetting"
    """The place of every cursor that was given until now is gone."""
    SKEW = "skew"
    """The network's clock is three hours ahead of ours."""


class Network(Protocol):
    """One network with one server."""

    name: str
    """As in the configuration and in items."""
    deeds: frozenset[Deed]
    faults: frozenset[Fault]
    keeps_seconds: float
    """For how long what is written can still be fetched; what is older when we come back is to be stated as a gap."""
    pace_seconds: float
    """How far the suite moves the clock at each look: about the time in which the connector asks or is told of something."""
    secrets: Mapping[str, str]
    """What stands in the environment for the connector: `{"TOKEN": "..."}`."""

    async def start(self, clock: Clock) -> None:
        """Begin to listen. Times of what is written are those of `clock`."""

    async def close(self) -> None:
        """Give everything back."""

    def connector(self) -> dict[str, Any]:
        """The entry under `listen:` without `name`, for `Connector` of the configuration. Called after `start`."""

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        """Somebody writes a mention, or replies to, quotes, reposts or deletes the post `about`. Returns the `post_id` that is
        to be stored (of a deletion: that of the deleted post)."""

    async def play(self, fault: Fault) -> None:
        """From now on this goes wrong."""

    async def mend(self) -> None:
        """Nothing goes wrong any more."""
