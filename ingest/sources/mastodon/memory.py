"""What is remembered of the statuses that were passed on: which post an id of the server means, and the root it hangs on.

A deletion tells only the server's id, and a reply names its parent by it. The newest of what is remembered stand in the cursor
(some sixty; they are what is deleted most), so that a restart does not forget them. A deletion of what nobody remembers is not
passed on: a public stream brings those of everybody in the world, and what is followed is looked at again anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

import msgspec

MOST_KNOWN: Final = 50_000
MOST_GONE: Final = 2_000
MOST_CHARS: Final = 7_500
"""Of a cursor's 8,000."""


@dataclass(frozen=True, slots=True)
class KnownStatus:
    """`root` is the post with which its conversation began, `edited_at` of which text was passed on."""

    post: str
    root: str
    edited_at: str = ""


class StatusMemory:
    """The statuses of one server that were passed on, by their ids there. The oldest are forgotten first."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, KnownStatus] = OrderedDict()
        self._ids: dict[str, str] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def is_gone(self, local_id: str) -> bool:
        """True if it was deleted a short time ago: servers deliver a creation after the deletion, too."""
        return local_id in self._gone

    def remember(self, local_id: str, known: KnownStatus) -> None:
        self._known[local_id] = known
        self._known.move_to_end(local_id)
        self._ids[known.post] = local_id
        while len(self._known) > MOST_KNOWN:
            _, oldest = self._known.popitem(last=False)
            self._ids.pop(oldest.post, None)

    def of(self, local_id: str | None) -> KnownStatus | None:
        return None if local_id is None else self._known.get(local_id)

    def local_id(self, post: str) -> str | None:
        return self._ids.get(post)

    def forget(self, local_id: str) -> KnownStatus | None:
        self._gone[local_id] = None
        while len(self._gone) > MOST_GONE:
            self._gone.popitem(last=False)
        known = self._known.pop(local_id, None)
        if known is not None:
            self._ids.pop(known.post, None)
        return known

    def newest(self, most_chars: int) -> list[tuple[str, str, str, str]]:
        """The newest, oldest of them first, that fit into so many characters of JSON."""
        found: list[tuple[str, str, str, str]] = []
        for local_id in reversed(self._known):
            known = self._known[local_id]
            root = "" if known.root == known.post else known.root
            entry = (local_id, known.post, root, known.edited_at)
            most_chars -= len(msgspec.json.encode(entry)) + 1
            if most_chars < 0:
                break
            found.append(entry)
        return found[::-1]

    def restore(self, entries: list[tuple[str, str, str, str]]) -> None:
        for local_id, post, root, edited_at in entries:
            self.remember(local_id, KnownStatus(post, root or post, edited_at))


@dataclass(slots=True)
class Places:
    """The newest id that was heard of each timeline."""

    newest: dict[str, str] = field(default_factory=dict)

    def advance(self, timeline: str, local_id: str) -> None:
        """Ids grow, but not all come in order: the place never goes back."""
        if is_later(local_id, self.newest.get(timeline, "")):
            self.newest[timeline] = local_id


def is_later(one: str, other: str) -> bool:
    """Mastodon numbers statuses, GoToSocial and Pleroma give them letters of a fixed length: both sort so."""
    return (len(one), one) > (len(other), other)


class _Written(msgspec.Struct):
    t: dict[str, str]
    k: list[tuple[str, str, str, str]] = []


def written(places: Places, memory: StatusMemory) -> str:
    """The position of a cursor: the places, and as much of the memory as there is room for."""
    bare = len(msgspec.json.encode(_Written(places.newest)).decode())
    return msgspec.json.encode(_Written(places.newest, memory.newest(MOST_CHARS - bare))).decode()


def read(position: str) -> tuple[Places, list[tuple[str, str, str, str]]]:
    """Raises `ValueError` for what was not written here."""
    try:
        found = msgspec.json.decode(position, type=_Written)
    except msgspec.DecodeError as error:
        raise ValueError(f"no position of this source: {error}") from None
    return Places(dict(found.t)), found.k
