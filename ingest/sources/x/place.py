"""Where X was left: up to when everything was heard, and the newest posts, so that none of them comes again when search is
asked from a little earlier.

Posts come to the stream some seconds late and out of order, so the place is a time and never an id.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from itertools import islice
from typing import Final

from ingest.sources.base import Cursor

REMEMBERED: Final = 100_000
"""Posts that are recognised when they come again in the same life of the process."""
KEPT: Final = 380
"""Those that a cursor keeps: as many ids of 20 characters as fit."""


class XPlace:
    """`at` is the network's time up to which everything was heard."""

    def __init__(self, origin: str, at: datetime) -> None:
        self.origin = origin
        self.at = at
        self._seen: OrderedDict[str, str] = OrderedDict()
        """Id of a version -> our id of the post."""
        self._posts: OrderedDict[str, None] = OrderedDict()

    @classmethod
    def restored(cls, cursor: Cursor) -> XPlace:
        """The same place. Of a cursor of another origin, and of one that cannot be read, only the time is of use."""
        place = cls(cursor.origin, cursor.at)
        place.see(*[(post, post) for post in cursor.position.split(",") if post])
        return place

    def is_new(self, version: str) -> bool:
        return version not in self._seen

    def knows(self, post: str) -> bool:
        """True if any version of this post was heard."""
        return post in self._posts

    def see(self, *versions: tuple[str, str]) -> None:
        for version, post in versions:
            self._seen[version] = post
            self._posts[post] = None
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        while len(self._posts) > REMEMBERED:
            self._posts.popitem(last=False)

    def advance(self, at: datetime | None, now: datetime) -> None:
        """Everything up to then was heard. Never back, and never ahead of our clock, however wrong the network's is."""
        if at is not None:
            self.at = max(self.at, min(at, now))

    def cursor(self) -> Cursor:
        newest = list(islice(reversed(self._seen), KEPT))
        return Cursor(self.origin, ",".join(reversed(newest)), self.at)
