"""A script and a seed become a night: every post in order of time, as the ingest API takes it. Pure."""

from __future__ import annotations

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.tools.drills.script import Crowd, Post, Script

_CHOICE = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Action:
    """One post at `at`, in seconds from the start. `post` lacks its times, which `stamped` adds; `root` is the post with which
    its conversation began."""

    at: float
    root: str
    post: dict[str, Any]

    def stamped(self, begin: datetime) -> dict[str, Any]:
        moment = (begin + timedelta(seconds=self.at)).isoformat()
        post = {**self.post, "platform_at": moment, "created_at": moment}
        author = dict(post["author"])
        if (age := author.pop("age_days", None)) is not None:
            author["created_at"] = (begin - timedelta(days=age)).isoformat()
        return {**post, "author": author}


class Night:
    """All posts of a night. `run` makes their ids unique, so that a drill can be played twice against one installation."""

    def __init__(self, script: Script, seed: int, run: str) -> None:
        self.script = script
        self._rng = random.Random(seed)  # noqa: S311 - a simulation, no secret
        self._run = run
        self._roots: dict[str, str] = {}
        for post in script.posts:
            self._roots[post.id] = self._roots[post.answers] if post.answers else self.post_id(post.id)
        actions = [self._said(post) for post in script.posts]
        for crowd in script.crowds:
            actions += self._gathered(crowd)
        self.actions = sorted((a for a in actions if a.at <= script.lasts), key=lambda a: a.at)

    def post_id(self, name: str) -> str:
        return f"{self._run}-{name}"

    def story(self, name: str) -> str:
        """Returns the story id of the post `name`: the conversation that it begins."""
        return f"{self.script.network}:{self.post_id(name)}"

    def _said(self, post: Post) -> Action:
        out: dict[str, Any] = self._post(self.post_id(post.id), post.by.handle, post.by.followers, post.by.age_days)
        out["text"] = post.text
        if post.answers is not None:
            out |= {"kind": "reply", "parent_id": self.post_id(post.answers), "root_id": self._roots[post.answers]}
        if post.quotes is not None:
            out |= {
                "kind": "reply" if post.answers else "quote",
                "quote_of": {"post_id": self.post_id(post.quotes), "root_id": self._roots[post.quotes]},
            }
        return Action(post.at, self._roots[post.id], out)

    def _gathered(self, crowd: Crowd) -> Iterator[Action]:
        rng = self._rng
        for number in range(crowd.count):
            if crowd.lasts is not None:
                after = rng.uniform(0, crowd.lasts)
            else:
                after = (crowd.median or 0) * math.exp(rng.gauss(0, crowd.sigma))
            post_id = self.post_id(f"{crowd.id}-{number}")
            followers = int(crowd.followers.median * math.exp(rng.gauss(0, crowd.followers.sigma)))
            out: dict[str, Any] = self._post(post_id, f"{crowd.id}{number}", followers, crowd.age_days)
            if crowd.texts:
                out["text"] = _CHOICE.sub(lambda m: rng.choice(m[1].split("|")), rng.choice(crowd.texts))
            root = post_id
            if crowd.to is not None:
                root = self._roots[crowd.to]
                if crowd.does == "quote":
                    out |= {"kind": "quote", "quote_of": {"post_id": self.post_id(crowd.to), "root_id": root}}
                    root = post_id
                else:
                    out |= {"kind": crowd.does, "parent_id": self.post_id(crowd.to), "root_id": root}
            yield Action(crowd.begins + after, root, out)

    def _post(self, post_id: str, handle: str, followers: int | None, age_days: float | None) -> dict[str, Any]:
        author = {"id": handle, "handle": handle, "followers": followers, "age_days": age_days}
        link = f"https://social.example/{handle}/{post_id}"
        return {
            "network": self.script.network,
            "post_id": post_id,
            "kind": "original",
            "author": author,
            "language": "en",
            "permalink": link,
            "reply_link": f"{link}/reply",
        }

    def engagements(self) -> dict[str, list[float]]:
        """Conversation root -> times of its engagements: the truth that forecasts are measured against."""
        times: dict[str, list[float]] = defaultdict(list)
        for action in self.actions:
            post = action.post
            if post["kind"] in {"reply", "repost"}:
                times[action.root].append(action.at)
            if (quoted := post.get("quote_of")) is not None:
                times[quoted["root_id"]].append(action.at)
        return {root: sorted(found) for root, found in times.items()}

    def crossings(self) -> Mapping[str, float]:
        """Conversation root -> when it crossed the lowest line of the drill's brands, for those that did."""
        lines = [brand.line.engagements for brand in self.script.config.brands if brand.line.engagements is not None]
        if not lines:
            return {}
        line = min(lines)
        return {root: times[line - 1] for root, times in self.engagements().items() if len(times) >= line}

    def story_of(self, root: str) -> str:
        """Returns the story of the conversation `root`. That of a quote belongs to the quoted story, however long the chain."""
        quoted = {a.post["post_id"]: a.post["quote_of"]["root_id"] for a in self.actions if "quote_of" in a.post}
        while root in quoted:
            root = quoted[root]
        return f"{self.script.network}:{root}"
