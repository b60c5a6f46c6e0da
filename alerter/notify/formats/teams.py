"""Microsoft Teams, by a workflow's webhook: one adaptive card. Pure. Theirs is a limit of about 28 KB."""

from __future__ import annotations

import json
from typing import Any, Final

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

MAX_BYTES: Final = 28_000
_COLOURS: Final = {
    Status.FIRING: "attention",
    Status.ACKNOWLEDGED: "warning",
    Status.RESOLVED: "good",
    Status.NOTE: "default",
    Status.DRILL: "accent",
}


def escape(text: str) -> str:
    """Text blocks read a part of Markdown: a text must not make links or lists of its own."""
    return "".join(f"\\{char}" if char in "\\`*_[]" else char for char in text)


def render(notice: Notice) -> bytes:
    for chars in (1500, 500, 150, 50):
        body = json.dumps(_card(notice, chars), ensure_ascii=False).encode("utf-8", "replace")
        if len(body) < MAX_BYTES:
            return body
    return body


def _card(notice: Notice, chars: int) -> dict[str, Any]:
    facts = notice.facts or (("What", notice.because or notice.title),)
    blocks: list[dict[str, Any]] = [
        {
            "type": "TextBlock",
            "text": escape(cut(notice.title, min(chars, 500))),
            "weight": "bolder",
            "size": "large",
            "wrap": True,
            "color": _COLOURS[notice.status],
        }
    ]
    blocks += [
        {"type": "TextBlock", "text": f"**{escape(name)}:** {escape(cut(words, chars))}", "wrap": True}
        for name, words in facts
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        "body": blocks,
        "actions": [
            {"type": "Action.OpenUrl", "title": name, "url": url} for _, name, url in notice.links if len(url) < 2000
        ],
        "msteams": {"width": "full"},
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
