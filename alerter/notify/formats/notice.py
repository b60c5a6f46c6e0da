"""What every message states, taken out of our own: one view that all other formats are made from. Pure.

No words and no author of a post are in it: what was said elsewhere cannot be taken back there, so other outlets get the link.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from alerter.notify.formats import trial
from alerter.notify.links import METHOD_CODE, TEST_PAGE
from alerter.rules.severity import WORST
from services.contracts.direction import isolated
from services.contracts.incident import IncidentState
from services.contracts.scales import sev

_LINKS: Final = (
    ("acknowledge", "I have it"),
    ("confirm", "It reached me"),
    ("post", "See the post"),
    ("reply", "Reply"),
    ("incident", "Open the incident"),
)


DRILL_KEY: Final = "page:"
"""How the keys of drills begin; the drill's id and the responder follow."""


class Status(StrEnum):
    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    NOTE = "note"
    """Worth knowing, nothing to do at once."""
    DRILL = "drill"
    """It rings like a page of severity 1, and says that it is none."""


@dataclass(frozen=True, slots=True)
class Notice:
    type: str
    key: str
    """The same for all messages about one thing."""
    status: Status
    severity: int
    """1, the worst, to 4."""
    title: str
    because: str
    """What changed since the last message."""
    facts: tuple[tuple[str, str], ...]
    """Name and words, the most important first."""
    links: tuple[tuple[str, str, str], ...]
    """Key, name and URL."""
    at: str
    began: str
    brand: str | None = None
    rule: str | None = None
    sequence: int = 0
    """Of the incident: each of its messages has another."""

    @property
    def is_open(self) -> bool:
        """Whether it is about an incident that is not over."""
        return self.type.startswith("incident.") and self.status in (Status.FIRING, Status.ACKNOWLEDGED)

    def link(self, key: str) -> str | None:
        return next((url for name, _, url in self.links if name == key), None)


def notice_of(body: bytes) -> Notice | None:
    """`None` for what concerns only those who were sent a post's words."""
    notice = _notice_of(body)
    if notice is None:
        return None
    # Names of people, and words that many posts have in common, are not ours.
    facts = tuple((name, isolated(words)) for name, words in notice.facts)
    return replace(notice, title=isolated(notice.title), because=isolated(notice.because), facts=facts)


def _notice_of(body: bytes) -> Notice | None:
    message: dict[str, Any] = json.loads(body)
    data, kind, at = message["data"], message["type"], message["timestamp"]
    if kind in ("post.redacted", "post.edited"):
        return None
    if kind.startswith("incident."):
        return _of_incident(kind, at, data)
    if kind.startswith("page."):
        return _of_drill(kind, at, data)
    status, severity, title = _about(kind, data)
    facts = tuple((name, str(data[key])) for key, name in _PLAIN if data.get(key) not in (None, ""))
    if kind == "endpoint.test":
        facts += trial.FACTS
    return Notice(
        type=kind,
        key=f"{kind.split('.')[0]}:{_subject(kind, data)}",
        status=status,
        severity=severity,
        title=title,
        because=str(data.get("because", "")),
        facts=facts,
        links=tuple((k, name, u) for k, name in _LINKS if (u := (data.get("links") or {}).get(k))),
        at=at,
        began=data.get("failing_since") or at,
    )


def _subject(kind: str, data: dict[str, Any]) -> str:
    """Returns what a message that is about no incident is about: one of the same subject follows it, or ends it."""
    if kind.startswith("log."):  # each loss is one of its own, and nothing ends it
        return f"{data.get('stage')}/{data.get('partition')}/{data.get('position')}"
    return str(data.get("endpoint") or data.get("owner") or data.get("file") or kind)


_PLAIN: Final = (
    ("code", "Code"),
    ("endpoint", "Endpoint"),
    ("failing_since", "Failing since"),
    ("waiting", "Messages waiting"),
    ("overdue", "Overdue"),
    ("version", "In force"),
    ("partition", "Partition"),
    ("position", "Was applied up to"),
    ("goes_on_at", "Goes on at"),
)


def _about(kind: str, data: dict[str, Any]) -> tuple[Status, int, str]:
    endpoint = data.get("endpoint")
    if kind == "endpoint.failing":
        return Status.FIRING, 2, f"Messages are not reaching the endpoint {endpoint}"
    if kind == "endpoint.disabled":
        return Status.FIRING, 2, f"The endpoint {endpoint} was disabled: nothing more is sent to it"
    if kind == "endpoint.recovered":
        return Status.RESOLVED, 4, f"The endpoint {endpoint} accepts messages again"
    if kind == "config.refused":
        return Status.FIRING, 2, "The configuration file has mistakes: what was in force before stays in force"
    if kind == "config.accepted":
        return Status.RESOLVED, 4, "The configuration file is in force again"
    if kind == "log.restored":
        return Status.NOTE, 2, "The event log or the database was restored: look whether posts were lost"
    if kind == METHOD_CODE:
        return Status.NOTE, 4, f"Your code is {data.get('code')}: it confirms that messages reach {data['who']} here"
    if kind == "log.dropped":
        return Status.FIRING, 2, "The event log dropped records before they were read: posts were lost"
    if kind == "endpoint.test":
        return Status.NOTE, 4, f"A test message for the endpoint {endpoint}"
    return Status.NOTE, 4, str(data.get("title") or data.get("because") or kind)


def _asks(kind: str, data: dict[str, Any]) -> bool:
    """Returns True if the message pages whoever is asked to take the incident over: it rings them, although another has it."""
    return kind == "incident.escalated" and data.get("assigned_to") not in (None, data.get("acknowledged_by"))


def _of_drill(kind: str, at: str, data: dict[str, Any]) -> Notice:
    """A test page rings whatever a page of severity 1 rings. What says that it is over takes it back there."""
    is_over = kind != TEST_PAGE
    who, links = data["who"], data.get("links") or {}
    confirm = "Press the button." if links else "Say so in the console under On call, or by the API."
    title = (
        f"The drill for {who} is over" if is_over else f"This is a drill, nothing is wrong: {who}, did it reach you?"
    )
    facts = (
        ("What changed", data["because"]),
        ("By when", "" if is_over else f"Confirm by {data['confirm_by'][11:16]} UTC. {confirm}"),
        ("Asked for by", data["by"]),
    )
    return Notice(
        type=kind,
        key=f"{DRILL_KEY}{data['drill']}:{data['responder']}",
        status=Status.RESOLVED if is_over else Status.DRILL,
        severity=WORST,
        title=title,
        because=data["because"],
        facts=tuple((name, words) for name, words in facts if words),
        links=tuple((key, name, links[key]) for key, name in _LINKS if key in links),
        at=at,
        began=data["began"],
    )


def _to_take_it(code: str | None) -> str | None:
    return f"reply {code} to this message" if code else None


def _of_incident(kind: str, at: str, data: dict[str, Any]) -> Notice:
    status = Status.FIRING
    if IncidentState(data["state"]).is_over:
        status = Status.RESOLVED
    elif data.get("acknowledged_by") is not None and not _asks(kind, data):
        status = Status.ACKNOWLEDGED
    root, driver = data.get("root") or {}, data.get("driver")
    where = f"{root['network']} {root['post_id']}" if root else "many posts"
    if driver:
        where = f"{driver['network']} {driver['post_id']}, a reply in the conversation under {where}"
    facts = (
        ("What changed", data["because"]),
        ("Not delivered before", data.get("was")),
        ("To take it", _to_take_it(data.get("reply_code")) if status is Status.FIRING else None),
        ("By when", data["by_when"]),
        ("Who has it", data["who_has_it"]),
        ("First step", data.get("first_step")),
        ("How sure", data["how_sure"]),
        ("Why it was opened", data["reason"]),
        ("Where", where),
        ("State", data["state_words"]),
        ("Severity", sev(data["severity"])),
    )
    links = data.get("links", {})
    return Notice(
        type=kind,
        key=data["id"],
        status=status,
        severity=data["severity"],
        title=data["title"],
        because=data["because"],
        facts=tuple((name, words) for name, words in facts if words),
        links=tuple((key, name, links[key]) for key, name in _LINKS if key in links),
        at=at,
        began=data["opened_at"],
        brand=data["brand"],
        rule=data["rule"],
        sequence=data["sequence"],
    )
