"""Telegram's Bot API: plain text, so that nothing of it is markup, with buttons under it. Pure.

Limits (their documentation): 4,096 UTF-16 units a message, 64 bytes of data a button, and a button's link has to lead to a
public host, or the whole message is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from alerter.notify import buttons
from alerter.notify.buttons import Button
from alerter.notify.formats import plain
from alerter.notify.formats.lengths import parts
from alerter.notify.formats.notice import Notice, Status

TELEGRAM_URL: Final = "https://api.telegram.org"
MAX_UNITS: Final = 4096
ANSWER_CHARS: Final = 200
"""Of what a person reads on the screen after a button."""
_ID: Final = re.compile(r'"message_id"\s*:\s*(\d{1,18})\b')
_RETRY: Final = re.compile(r'"retry_after"\s*:\s*(\d{1,6})\b')
_PUBLIC: Final = re.compile(r"(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+", re.IGNORECASE)
_NEWS: Final = (Status.ACKNOWLEDGED, Status.RESOLVED)
"""What nobody has to be woken for."""

Keyboard = dict[str, Any]


def render(
    notice: Notice, options: Mapping[str, Any], data: Callable[[Button], str] | None, after: str | None
) -> bytes:
    """Returns a new message. `data` says what a button sends back, if buttons are heard; `after` is the message to which this
    one is the answer."""
    message: dict[str, Any] = {
        "chat_id": options["chat"],
        "text": text(notice, plain.forms(notice)),
        "disable_notification": notice.status in _NEWS,
        "link_preview_options": {"is_disabled": True},
    }
    if options.get("thread") is not None:
        message["message_thread_id"] = options["thread"]
    if after is not None:
        message["reply_parameters"] = {"message_id": int(after), "allow_sending_without_reply": True}
    rows = _rows(notice, data)
    if rows:
        message["reply_markup"] = {"inline_keyboard": rows}
    return _bytes(message)


def changed(notice: Notice, options: Mapping[str, Any], earlier: str) -> tuple[str, bytes]:
    """Returns the method and body that take the buttons off an earlier message. Once somebody has the incident or it is over,
    the earlier message says so too."""
    message: dict[str, Any] = {"chat_id": options["chat"], "message_id": int(earlier)}
    if notice.status is Status.FIRING:
        return "editMessageReplyMarkup", _bytes(message)
    message["text"] = text(notice, plain.forms(notice)[1:])
    message["link_preview_options"] = {"is_disabled": True}
    return "editMessageText", _bytes(message)


def text(notice: Notice, forms: Sequence[str]) -> str:
    """Returns the first of these forms that one message has room for, under the title."""
    title = plain.title(notice)
    for form in forms:
        if _fits(whole := f"{title}\n\n{form}"):
            return whole
    return parts(title, forms[-1], _fits)[0]


def _fits(said: str) -> bool:
    return len(said.encode("utf-16-le", "replace")) // 2 <= MAX_UNITS


def _rows(notice: Notice, data: Callable[[Button], str] | None) -> list[list[Keyboard]]:
    rows: list[list[Keyboard]] = []
    acknowledged = notice.status is Status.ACKNOWLEDGED
    if data is not None and notice.is_open:
        offered = [
            {"text": buttons.label(one, acknowledged), "callback_data": data(one)}
            for one in buttons.offered(notice.severity, acknowledged)
        ]
        rows += [offered[:1], offered[1:]]
    shown = [(key, name, url) for key, name, url in notice.links if key != "acknowledge" or data is None]
    rows += [[{"text": name, "url": url}] for _, name, url in shown if is_public(url)]
    return rows


def is_public(url: str) -> bool:
    """Returns True if Telegram takes a button with this link."""
    try:
        found = urlsplit(url)
        host = found.hostname or ""
    except ValueError:
        return False
    return found.scheme in ("https", "http") and len(url) < 2000 and _PUBLIC.fullmatch(host) is not None


def reference(answer: str) -> str | None:
    """Returns the id of the message that was sent, out of the beginning of the answer."""
    found = _ID.search(answer)
    return found[1] if found else None


def retry_after(answer: str) -> float | None:
    """Returns after how many seconds Telegram wants to be asked again."""
    found = _RETRY.search(answer)
    return float(found[1]) if found else None


def answered(query: str, said: str) -> bytes:
    """Returns what answers a pressed button, in the response to Telegram's own request."""
    return _bytes(
        {
            "method": "answerCallbackQuery",
            "callback_query_id": query,
            "text": said if len(said) <= ANSWER_CHARS else said[: ANSWER_CHARS - 1] + "\u2026",
            "show_alert": True,
        }
    )


def _bytes(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
