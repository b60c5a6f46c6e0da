"""PagerDuty Events v2: trigger, acknowledge and resolve with one `dedup_key`; and PagerDuty's own webhooks, verified. Pure.

Limits (their documentation): `summary` 1,024 characters, `dedup_key` 255, the whole event 512 KB.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

EVENTS_URL: Final = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES: Final = {1: "critical", 2: "error", 3: "warning", 4: "info"}
_PREFIX: Final = "firebreak-"
_FACT_CHARS: Final = 2000
_MOST_ASSIGNEES: Final = 20
_ACTIONS: Final = {
    Status.FIRING: "trigger",
    Status.NOTE: "trigger",
    Status.DRILL: "trigger",
    Status.ACKNOWLEDGED: "acknowledge",
    Status.RESOLVED: "resolve",
}


def dedup_key(notice: Notice) -> str:
    return f"{_PREFIX}{notice.key}"[:255]


def render(notice: Notice, routing_key: str) -> bytes:
    event: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": _ACTIONS[notice.status],
        "dedup_key": dedup_key(notice),
    }
    if event["event_action"] == "trigger":
        event["payload"] = {
            "summary": cut(notice.title, 1024),
            "source": f"firebreak/{notice.brand or 'installation'}",
            "severity": SEVERITIES[notice.severity],
            "timestamp": notice.began,
            "component": notice.brand,
            "class": notice.rule or notice.type,
            "custom_details": {name: cut(words, _FACT_CHARS) for name, words in notice.facts},
        }
        event["links"] = [{"href": url, "text": name} for _, name, url in notice.links]
        event["client"] = "Firebreak"
        if (url := notice.link("incident")) is not None:
            event["client_url"] = url
    return json.dumps(event, ensure_ascii=False).encode("utf-8", "replace")


# What comes back


def verified(secret: str, body: bytes, header: str | None) -> bool:
    """Whether PagerDuty signed this (`X-PagerDuty-Signature: v1=<hex>[,v1=<hex>]`): one signature of ours is enough."""
    own = "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    given = [one.strip() for one in (header or "").split(",")[:16]]
    return any([hmac.compare_digest(own.encode(), one.encode("utf-8", "replace")) for one in given])  # noqa: C419 - no early end


class Assignee(NamedTuple):
    """Somebody who was asked to take an incident there: their id and their name."""

    user: str
    name: str


@dataclass(frozen=True, slots=True)
class Returned:
    """What happened in PagerDuty."""

    event: str
    """Its id: a repeated one changes nothing."""
    action: str
    """`acknowledged`, `resolved`, `reassigned`, or another word that is none of ours."""
    incident: str | None
    user: str
    """The id of who did it, or nothing."""
    by: str
    """Their name."""
    by_person: bool
    """False if it was an integration, such as ourselves, or one of PagerDuty's own rules."""
    at: datetime | None
    to: tuple[Assignee, ...]


def returned(body: bytes) -> Returned:
    """Raises `ValueError` for what is no event of PagerDuty's webhooks v3."""
    try:
        event = json.loads(body)["event"]
        kind, identity, data = str(event["event_type"]), str(event["id"]), event["data"]
        key = data.get("incident_key") if isinstance(data, dict) else None
        agent = event.get("agent")
        at = datetime.fromisoformat(str(event["occurred_at"])) if event.get("occurred_at") else None
        given = data.get("assignees") if isinstance(data, dict) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no event of PagerDuty's webhooks") from error
    incident = key.removeprefix(_PREFIX) if isinstance(key, str) and key.startswith(_PREFIX) else None
    action = kind.removeprefix("incident.") if kind.startswith("incident.") else ""
    to = tuple(_assignee(one) for one in given[:_MOST_ASSIGNEES] if _is_person(one)) if isinstance(given, list) else ()
    who = _assignee(agent) if isinstance(agent, dict) else Assignee("", "somebody")
    moment = at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)
    return Returned(identity[:200], action, incident, who.user, who.name, _is_person(agent), moment, to)


def _is_person(found: Any) -> bool:
    return isinstance(found, dict) and str(found.get("type") or "user").startswith("user")


def _assignee(found: dict[str, Any]) -> Assignee:
    shown = str(found.get("summary") or found.get("name") or "somebody")
    name = "".join(char for char in shown if char.isprintable())[:80].strip() or "somebody"
    return Assignee(str(found.get("id") or "")[:64], name)
