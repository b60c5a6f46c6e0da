"""Where things travel: one table of topics, shared by every backend, the tests and the deployment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Topic:
    """`kept` is `None` for a compacted topic; `like` names the topic whose number of partitions it shares."""

    name: str
    key: str
    kept: timedelta | None
    like: str | None = None

    @property
    def compacted(self) -> bool:
        return self.kept is None


POSTS: Final = Topic("firebreak.posts", "conversation", timedelta(days=7))
SIGNALS: Final = Topic("firebreak.signals", "brand", timedelta(days=30))
WATCH: Final = Topic("firebreak.watch", "post", None)
CASCADES: Final = Topic("firebreak.cascades", "conversation", None, like=POSTS.name)
BASELINES: Final = Topic("firebreak.baselines", "brand", None, like=SIGNALS.name)
INCIDENTS: Final = Topic("firebreak.incidents", "brand", timedelta(days=30))
DEADLETTER: Final = Topic("firebreak.deadletter", "original key", timedelta(days=30))

TOPICS: Final = (POSTS, SIGNALS, WATCH, CASCADES, BASELINES, INCIDENTS, DEADLETTER)
BY_NAME: Final = {topic.name: topic for topic in TOPICS}
