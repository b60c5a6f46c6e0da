"""A message that comes late says what was, when it should have come, and what is. Pure.

It changes our own body, so what is kept, shown and redacted is what was sent.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from alerter.incidents import words
from alerter.notify.formats import native
from services.contracts.incident import Incident, IncidentState
from services.contracts.scales import sev


def what_it_said(body: bytes) -> str:
    """Returns what a message about an incident says of it, with the time, or what that says of an even older one."""
    message: dict[str, Any] = json.loads(body)
    data = message["data"]
    if data.get("was"):
        return str(data["was"])
    at = datetime.fromisoformat(message["timestamp"]).astimezone(UTC)
    return f"at {at:%Y-%m-%d %H:%M} UTC: {sev(data['severity'])}, {data['state_words']}. {data['who_has_it']}"


def is_stale(body: bytes, state: str, severity: int, acknowledged_by: str | None) -> bool:
    """Returns True if an incident that stands so now is over, taken or free, or of a severity, unlike what the message
    says."""
    data = json.loads(body)["data"]
    said = (native.is_over(data), data.get("acknowledged_by") is None, data["severity"])
    return said != (IncidentState(state).is_over, acknowledged_by is None, severity)


def standing_for(body: bytes, was: str) -> bytes:
    """Returns the body of a message that stands for older ones: `was` is what the oldest of them said."""
    message: dict[str, Any] = json.loads(body)
    message["data"]["was"] = was
    return native.fitted(message)


def as_it_is(body: bytes, present: Incident) -> bytes:
    """Returns the body of a message that was overtaken by what happened since: with how the incident stands now."""
    message: dict[str, Any] = json.loads(body)
    data = message["data"]
    data["was"] = what_it_said(body)
    news = present.model_dump(
        mode="json",
        include={"sequence", "state", "severity", "acknowledged_by", "acknowledged_at", "assigned_to", "changed_at"},
    )
    data |= news | {
        "state_words": words.state_words(present),
        "how_sure": words.how_sure(present),
        "by_when": words.by_when(present),
        "who_has_it": words.who_has_it(present),
    }
    data["because"] = f"this message comes late; by now {words.state_words(present)}. {words.who_has_it(present)}"
    return native.fitted(message)
