"""What the templates of a recipe may name: the words that every message states, and no more. Pure.

No words and no author of a post are among it, as with all outlets but our own webhooks: what was said elsewhere cannot be taken
back there, so a ticket gets the link.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from alerter.notify.formats import plain
from alerter.notify.formats.notice import Notice

_CHARS: Final = 4000
_MARK: Final = "Firebreak"


def key_of(subject: str) -> str:
    """Returns our own name for a ticket, which never changes."""
    return f"firebreak-{subject}"


def subject_of_key(key: str | None) -> str | None:
    """Returns what a ticket with this key is about, or `None` if we did not make the key."""
    return key.removeprefix("firebreak-") if key is not None and key.startswith("firebreak-") else None


def tag_of(subject: str) -> str:
    """Returns a key in 32 characters, where a system has no room for more."""
    return f"firebreak-{subject[:22]}"


def mark_of(subject: str) -> str:
    """Returns how every comment of ours begins, so that we know our own words when they come back."""
    return f"[{_MARK} {subject[:12]}]"


def values(
    notice: Notice, body: bytes, subject: str, delivery: str, filled_in: Mapping[str, str], ticket: Mapping[str, str]
) -> dict[str, Any]:
    """Returns every name that a template may use, with its value."""
    data: dict[str, Any] = json.loads(body)["data"]
    root = data.get("root") or {}
    return {
        "key": key_of(subject),
        "tag": tag_of(subject),
        "subject": subject,
        "mark": mark_of(subject),
        "delivery": delivery,
        "incident": str(data.get("id") or ""),
        "sequence": data.get("sequence"),
        "type": notice.type,
        "brand": notice.brand or "",
        "rule": notice.rule or "",
        "severity": notice.severity,
        "status": notice.status.value,
        "state": str(data.get("state") or ""),
        "title": plain.title(notice),
        "because": notice.because[:_CHARS],
        "by_when": _said(data, "by_when"),
        "who_has_it": _said(data, "who_has_it"),
        "how_sure": _said(data, "how_sure"),
        "first_step": _said(data, "first_step"),
        "reason": _said(data, "reason"),
        "was": _said(data, "was"),
        "comment": f"{mark_of(subject)} {plain.lines(notice)}",
        "summary": plain.lines(notice),
        "acknowledged_by": _said(data, "acknowledged_by"),
        "network": str(root.get("network") or ""),
        "post_id": str(root.get("post_id") or ""),
        "at": notice.at,
        "began": notice.began,
        "links": {name: url for name, _, url in notice.links},
        "labels": [str(one) for one in data.get("labels") or ()],
        "values": dict(filled_in),
        "ticket": dict(ticket),
    }


def _said(data: Mapping[str, Any], name: str) -> str:
    return str(data.get(name) or "")[:_CHARS]
