"""Where things travel: one table of topics, shared by every backend, the tests and the deployment."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final


@dataclass(frozen=True, slots=True)
class Topic:
    """`kept` is `None` for a compacted topic; `like` names the topic whose number of partitions it shares; `texts` says that
    posts stand in it in their own words; `hurried` that it is kept shorter than planned because of them."""

    name: str
    key: str
    kept: timedelta | None
    like: str | None = None
    texts: bool = False
    hurried: bool = False

    @property
    def compacted(self) -> bool:
        return self.kept is None


POSTS: Final = Topic("firebreak.posts", "conversation", timedelta(days=7), texts=True)
SIGNALS: Final = Topic("firebreak.signals", "brand", timedelta(days=30), texts=True)
WATCH: Final = Topic("firebreak.watch", "post", None)
CASCADES: Final = Topic("firebreak.cascades", "conversation", None, like=POSTS.name)
BASELINES: Final = Topic("firebreak.baselines", "brand", None, like=SIGNALS.name)
INCIDENTS: Final = Topic("firebreak.incidents", "brand", timedelta(days=30), texts=True)
SOURCES: Final = Topic("firebreak.sources", "source", None)
CURSORS: Final = Topic("firebreak.cursors", "source", None, like=SOURCES.name)
DEADLETTER: Final = Topic("firebreak.deadletter", "original key", timedelta(days=30), texts=True)

TOPICS: Final = (POSTS, SIGNALS, WATCH, CASCADES, BASELINES, INCIDENTS, SOURCES, CURSORS, DEADLETTER)
BY_NAME: Final = {topic.name: topic for topic in TOPICS}


def keeping_texts(hours: float | None) -> tuple[Topic, ...]:
    """The topics, where those that hold texts are kept for so many hours at most; `None` leaves each its own time."""
    if hours is None:
        return TOPICS
    most = timedelta(hours=hours)
    return tuple(
        replace(topic, kept=most, hurried=True)
        if topic.texts and topic.kept is not None and topic.kept > most
        else topic
        for topic in TOPICS
    )
