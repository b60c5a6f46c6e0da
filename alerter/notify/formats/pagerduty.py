"""PagerDuty Events v2: trigger, acknowledge and resolve with one `dedup_key`; and PagerDuty's own webhooks, verified. Pure.

Limits (their documentation): `summary` 1,024 characters, `dedup_key` 255, the whole event 512 KB.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Final

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

EVENTS_URL: Final = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES: Final = {1: "critical", 2: "error", 3: "warning", 4: "info"}
_PREFIX: Final = "firebreak-"
_FACT_CHARS: Final = 2000
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


@dataclass(frozen=True, slots=True)
class Returned:
    """What somebody did in PagerDuty."""

    event: str
    """Its id: a repeated one changes nothing."""
    action: str
    """`acknowledged`, `resolved`, or another word that is none of ours."""
    incident: str | None
    by: str


def returned(body: bytes) -> Returned:
    """Raises `ValueError` for what is no event of PagerDuty's webhooks v3."""
    try:
        event = json.loads(body)["event"]
        kind, identity, data = str(event["event_type"]), str(event["id"]), event["data"]
        key = data.get("incident_key") if isinstance(data, dict) else None
        agent = event.get("agent") or {}
        who = str(agent.get("summary") or "somebody") if isinstance(agent, dict) else "somebody"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("no event of PagerDuty's webhooks") from error
    incident = key.removeprefix(_PREFIX) if isinstance(key, str) and key.startswith(_PREFIX) else None
    action = kind.removeprefix("incident.") if kind.startswith("incident.") else ""
    printable = "".join(char for char in who if char.isprintable())[:80].strip() or "somebody"
    return Returned(identity[:200], action, incident, f"{printable} (PagerDuty)")
