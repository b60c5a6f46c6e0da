"""Prometheus' Alertmanager: alerts as its API v2 takes them, and the webhook (version 4) that it sends itself. Pure.

An alert is its labels: only what never changes about an incident may be one, but people route by severity. So the alert of
each other severity is sent as ended beside the one that fires; Alertmanager forgets those that it never knew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from alerter.notify.formats.lengths import cut
from alerter.notify.formats.notice import Notice, Status

NAMES: Final = {1: "critical", 2: "error", 3: "warning", 4: "info"}
NOTE_STANDS: Final = timedelta(minutes=5)
_FACT_CHARS: Final = 2000

Alert = dict[str, Any]


def alerts(notice: Notice, extra: Mapping[str, str], now: datetime, stands: timedelta) -> list[Alert]:
    """`now` is real time: Alertmanager compares it with its own clock. The alert ends by itself after `stands`, unless it
    is sent again before: whoever forgets it must not leave it firing for ever."""
    began = min(_moment(notice.began), now)
    over = notice.status is Status.RESOLVED
    ends = now if over else now + (NOTE_STANDS if notice.status in (Status.NOTE, Status.DRILL) else stands)
    found = []
    for severity in NAMES:
        fires = severity == notice.severity and not over
        found.append(
            {
                "labels": labels(notice, severity, extra),
                "annotations": words_of(notice),
                "startsAt": _rfc3339(began if began < now else now - timedelta(milliseconds=1)),
                "endsAt": _rfc3339(ends if fires else now),
                "generatorURL": notice.link("incident") or "",
            }
        )
    return found


def encoded(alerts: Sequence[Alert]) -> bytes:
    return json.dumps(alerts, ensure_ascii=False).encode("utf-8", "replace")


def labels(notice: Notice, severity: int, extra: Mapping[str, str]) -> dict[str, str]:
    own = {"alertname": _name(notice), "severity": NAMES[severity], "incident": notice.key}
    if notice.brand is not None:
        own["brand"] = notice.brand
    if notice.rule is not None:
        own["rule"] = notice.rule
    return {**extra, **own}


def words_of(notice: Notice) -> dict[str, str]:
    said = {"summary": cut(notice.title, _FACT_CHARS), "description": cut(_lines(notice), 2 * _FACT_CHARS)}
    return said | {f"link_{key}": url for key, _, url in notice.links}


def render_webhook(notice: Notice, receiver: str, external_url: str | None) -> bytes:
    """The payload that Alertmanager posts to webhooks, version 4."""
    over = notice.status is Status.RESOLVED
    status = "resolved" if over else "firing"
    own, said = labels(notice, notice.severity, {}), words_of(notice)
    stable = {name: value for name, value in own.items() if name != "severity"}
    alert = {
        "status": status,
        "labels": own,
        "annotations": said,
        "startsAt": notice.began,
        "endsAt": notice.at if over else "0001-01-01T00:00:00Z",
        "generatorURL": notice.link("incident") or "",
        "fingerprint": hashlib.blake2b(json.dumps(stable, sort_keys=True).encode(), digest_size=8).hexdigest(),
    }
    message = {
        "version": "4",
        "groupKey": f'{{}}:{{incident="{notice.key}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": receiver,
        "groupLabels": {"incident": notice.key},
        "commonLabels": own,
        "commonAnnotations": said,
        "externalURL": external_url or "",
        "alerts": [alert],
    }
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


def _name(notice: Notice) -> str:
    if notice.type.startswith("incident."):
        return "FirebreakIncident"
    return "Firebreak" + "".join(part.capitalize() for part in notice.type.split(".")[:1])


def _lines(notice: Notice) -> str:
    return "\n".join(_facts(notice))


def _facts(notice: Notice) -> Iterator[str]:
    if not notice.facts:
        yield notice.because
    for name, words in notice.facts:
        yield f"{name}: {words}"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
