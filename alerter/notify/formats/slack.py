"""Slack's incoming webhooks: blocks, with `text` for notifications. Pure.

Limits (their documentation): a header has 150 characters, a section's text 3,000, a field 2,000, ten fields a section, 50
blocks; about 13,200 characters in all, which the cuts below stay under.
"""

from __future__ import annotations

import json
from typing import Any, Final

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

_FACT_CHARS: Final = 800
_MARKS: Final = {
    Status.FIRING: "\U0001f534",
    Status.ACKNOWLEDGED: "\U0001f7e1",
    Status.RESOLVED: "\U0001f7e2",
    Status.NOTE: "\u2139\ufe0f",
    Status.DRILL: "\U0001f514",
}


def escape(text: str) -> str:
    """Their three control characters: without this a text could mention everybody, or hide where a link leads."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def render(notice: Notice) -> bytes:
    title = f"{_MARKS[notice.status]} {notice.title}"
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": cut(title, 150), "emoji": True}}
    ]
    facts = notice.facts or (("What", notice.because or notice.title),)
    for name, words in facts:
        text = f"*{escape(name)}*  {escape(cut(words, _FACT_CHARS))}"
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": cut(text, 3000)}})
    if notice.links:
        links = "  \u00b7  ".join(f"<{_url(url)}|{escape(name)}>" for _, name, url in notice.links if len(url) < 700)
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": links or "-"}})
    message = {"text": escape(cut(title, 300)), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _url(url: str) -> str:
    return url.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")
