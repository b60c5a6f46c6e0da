"""ntfy: a push message on a topic, published as JSON, with a button that takes the incident. Pure.

Limits (their documentation): 4,096 bytes a message, or it becomes a file to download; about twice that for the whole JSON;
three buttons. The button posts from the phone to a link of ours that is valid for this one message.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from alerter.notify.buttons import LABELS, Button
from alerter.notify.formats import plain
from alerter.notify.formats.lengths import parts
from alerter.notify.formats.notice import Notice, Status

TOPIC_URL: Final = re.compile(r"(?P<base>https?://[^?#\s]+?)/(?P<topic>[-_A-Za-z0-9]{1,64})")
MAX_BYTES: Final = 4096
MAX_URL_CHARS: Final = 700
_PRIORITIES: Final = {1: 5, 2: 4, 3: 3, 4: 3}
_QUIET: Final = 2
_NEWS: Final = (Status.ACKNOWLEDGED, Status.RESOLVED)
_TAGS: Final = {
    Status.FIRING: "rotating_light",
    Status.ACKNOWLEDGED: "raised_hand",
    Status.RESOLVED: "white_check_mark",
    Status.NOTE: "information_source",
}


def server_and_topic(url: str) -> tuple[str, str]:
    """Returns where to publish, and the topic. The URL was checked when the endpoint was made."""
    found = TOPIC_URL.fullmatch(url)
    assert found is not None
    return f"{found['base']}/", found["topic"]


def render(notice: Notice, topic: str, take: str | None) -> bytes:
    """`take` is a link that takes the incident when something is posted to it."""
    message: dict[str, Any] = {
        "topic": topic,
        "title": plain.title(notice),
        "message": _text(notice),
        "priority": _QUIET if notice.status in _NEWS else _PRIORITIES[notice.severity],
        "tags": [_TAGS[notice.status]],
    }
    links = {key: url for key, _, url in notice.links if len(url) <= MAX_URL_CHARS}
    page = links.get("acknowledge") or links.get("incident")
    if page is not None:
        message["click"] = page
    actions: list[dict[str, Any]] = []
    if take is not None and notice.status is Status.FIRING:
        press = {"action": "http", "label": LABELS[Button.TAKE], "url": take, "method": "POST", "clear": True}
        actions.append(press)
    shown = (("acknowledge", "Open"), ("post", "See the post"))
    actions += [{"action": "view", "label": name, "url": url} for key, name in shown if (url := links.get(key))]
    if actions:
        message["actions"] = actions[:3]
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _text(notice: Notice) -> str:
    forms = plain.forms(notice)
    for form in forms:
        if _fits(form):
            return form
    return parts("", forms[-1], _fits)[0].strip()


def _fits(text: str) -> bool:
    """As it travels, so that the whole stays below the limit whatever signs it holds."""
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")) <= MAX_BYTES
