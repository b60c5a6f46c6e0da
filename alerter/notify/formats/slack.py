"""Slack's incoming webhooks: blocks, with `text` for notifications. Pure.

Limits (their documentation): a header has 150 characters, a section's text 3,000, a field 2,000, ten fields a section, 50
blocks; about 13,200 characters in all, which the cuts below stay under.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any, Final

from alerter.notify import buttons
from alerter.notify.buttons import Button
from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

TOLERANCE_SECONDS: Final = 300
"""Between the time that Slack signed and ours."""
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


def render(notice: Notice, data: Callable[[Button], str] | None = None) -> bytes:
    """`data` says what a button sends back, if buttons are heard."""
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
    if data is not None and notice.is_open:
        blocks.append({"type": "actions", "elements": _elements(notice, data)})
    message = {"text": escape(cut(title, 300)), "blocks": blocks, "unfurl_links": False, "unfurl_media": False}
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _elements(notice: Notice, data: Callable[[Button], str]) -> list[dict[str, Any]]:
    acknowledged = notice.status is Status.ACKNOWLEDGED
    made = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": buttons.label(one, acknowledged)},
            "action_id": f"firebreak-{one.name.lower()}",
            "value": data(one),
            **({"style": "primary"} if one is Button.TAKE else {}),
        }
        for one in buttons.offered(notice.severity, acknowledged)
    ]
    home, _, _ = (notice.link("incident") or "").partition("/incidents/")
    if home:
        page = {"type": "plain_text", "text": "Page somebody"}
        made.append({"type": "button", "text": page, "action_id": "firebreak-page", "url": f"{home}/page"})
    return made


def verified(secret: str, body: bytes, stamp: str | None, header: str | None, now: float) -> bool:
    """Whether Slack signed this, within five minutes of `now` (real seconds since 1970)."""
    timely = stamp is not None and stamp.isascii() and stamp.isdigit() and len(stamp) < 12
    timely = timely and abs(now - int(stamp or 0)) <= TOLERANCE_SECONDS
    said = b"v0:" + (stamp or "").encode("utf-8", "replace") + b":" + body
    own = "v0=" + hmac.new(secret.encode(), said, hashlib.sha256).hexdigest()
    return hmac.compare_digest(own.encode(), (header or "").encode("utf-8", "replace")) and timely


def answered(said: str) -> bytes:
    """Returns what only the person who pressed a button reads."""
    message = {"response_type": "ephemeral", "replace_original": False, "text": escape(said)}
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _url(url: str) -> str:
    return url.replace("|", "%7C").replace(">", "%3E").replace("<", "%3C")
