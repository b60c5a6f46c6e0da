"""Our own webhook body: the whole incident and, in words, what every message states. Always below 20 kB.

What a source's terms keep in the house stays there (`alerter.incidents.source_policy`).
What does not fit goes in a stated order: long texts, then exemplars, then the loudest voices, then the root's text, then
long words of ours; what happened, why, by when and who has it always arrive.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from alerter.incidents import words
from alerter.incidents.cards import PostKey
from alerter.incidents.source_policy import SourcePolicies, incident_outside
from services.contracts.incident import Change, Incident, IncidentState
from services.contracts.signal import PostCard, PostRedacted
from services.contracts.stage import Moved

MAX_BODY_BYTES: Final = 20_000
_TEXT_CHARS: Final = 600
_SHORT_CHARS: Final = 200
_WORDS_CHARS: Final = 300
_NOTES: Final = 3
"""Notes in a message that would be too large."""
_MISTAKES: Final = 10
"""Whoever mends the file sees them all; a message says where to begin."""

Body = dict[str, Any]


def render(incident: Incident, change: Change, because: str, policies: SourcePolicies, public_url: str | None) -> bytes:
    """The frozen body of an `incident.*` message."""
    data = incident.model_dump(mode="json", exclude={"root", "driver", "loudest", "exemplars"})
    shown = incident_outside(incident, policies)
    root = _card(shown.root) if shown.root is not None else None
    data["root"] = root
    driver = _card(shown.driver) if shown.driver is not None else None
    if driver is not None:
        data["driver"] = driver
    data["loudest"] = [_card(card) for card in shown.loudest]
    data["exemplars"] = [_card(card) for card in shown.exemplars]
    data["because"] = because
    data["state_words"] = words.state_words(incident)
    data["how_sure"] = words.how_sure(incident)
    data["by_when"] = words.by_when(incident)
    data["who_has_it"] = words.who_has_it(incident)
    data["links"] = _links(incident.id, root, driver, public_url)
    return fitted({"type": f"incident.{change.value}", "timestamp": incident.changed_at.isoformat(), "data": data})


def render_edit(incident: Incident, post: PostCard, *, still_waits: bool, now: datetime) -> bytes:
    """Tells whoever was sent a post that it has other words now. `post` is as it may leave the house."""
    data = {
        "incident": incident.id,
        "brand": incident.brand,
        "network": post.network,
        "post_id": post.post_id,
        "at": (post.edited_at or now).isoformat(),
        "text": None if post.text is None else _cut(post.text, _TEXT_CHARS),
        "taken_back": not still_waits,
        "because": "the post was edited at its source: correct your copies of its text",
    }
    return _bytes({"type": "post.edited", "timestamp": now.isoformat(), "data": data})


def render_redaction(incident: Incident, signal: PostRedacted) -> bytes:
    """Tells whoever was sent a post that it was deleted where it was written, or hidden there."""
    gone = "hidden" if signal.hidden else "deleted"
    data = {
        "incident": incident.id,
        "brand": incident.brand,
        "network": signal.network,
        "post_id": signal.post_id,
        "at": signal.at.isoformat(),
        "because": f"the post was {gone} at its source: delete your copies of its text and author",
    }
    return _bytes({"type": "post.redacted", "timestamp": signal.at.isoformat(), "data": data})


def render_test(endpoint: str, now: datetime) -> bytes:
    return _bytes(
        {
            "type": "endpoint.test",
            "timestamp": now.isoformat(),
            "data": {"endpoint": endpoint, "because": "somebody asked for a test message; nothing is wrong"},
        }
    )


def render_drill(
    drill: str, responder: str, who: str, by: str, times: tuple[datetime, datetime, datetime], *, is_over: bool = False
) -> bytes:
    """The test page of a drill for one person, or what says that it is over. `times` are when the drill began, until when it
    waits, and when this is sent."""
    began, ends, now = times
    data = {
        "drill": drill,
        "responder": responder,
        "who": who,
        "by": by,
        "because": "the drill is over"
        if is_over
        else "somebody rings everybody on duty once, to see that pages arrive",
        "began": began.isoformat(),
        "confirm_by": ends.isoformat(),
    }
    return _bytes({"type": "page.over" if is_over else "page.test", "timestamp": now.isoformat(), "data": data})


def render_code(responder: str, who: str, endpoint: str, ends: datetime, now: datetime) -> bytes:
    """A message that brings a code, without the code: that is put in when it is sent."""
    because = f"{who} asked for a code, to confirm this way of being told; it is valid until {ends:%H:%M} UTC"
    data = {"responder": responder, "who": who, "endpoint": endpoint, "because": because, "ends_at": ends.isoformat()}
    return _bytes({"type": "method.code", "timestamp": now.isoformat(), "data": data})


def render_endpoint(
    endpoint: str, turn: str, because: str, failing_since: datetime | None, waiting: int, now: datetime
) -> bytes:
    """Tells an endpoint's owner that it fails, works again, or was disabled."""
    data = {
        "endpoint": endpoint,
        "because": because,
        "failing_since": failing_since.isoformat() if failing_since is not None else None,
        "waiting": waiting,
    }
    return _bytes({"type": f"endpoint.{turn}", "timestamp": now.isoformat(), "data": data})


def render_config(because: str, version: str, mistakes: Sequence[str], now: datetime) -> bytes:
    """Tells the operators that the configuration file has these mistakes, or, without any, that it is in force again."""
    data = {
        "file": "configuration",
        "because": _cut(because, _WORDS_CHARS),
        "version": version,
        "mistakes": [_cut(mistake, _WORDS_CHARS) for mistake in mistakes[:_MISTAKES]],
    }
    kind = "config.refused" if mistakes else "config.accepted"
    return _bytes({"type": kind, "timestamp": now.isoformat(), "data": data})


def render_log(kind: str, because: str, moved: Moved, now: datetime) -> bytes:
    """Tells the operators that a stage could not go on where it was."""
    data = {
        "because": because,
        "stage": moved.stage,
        "partition": moved.partition,
        "position": moved.position,
        "goes_on_at": moved.goes_on_at,
    }
    return _bytes({"type": kind, "timestamp": now.isoformat(), "data": data})


def without(body: bytes, post: PostKey) -> bytes | None:
    """The body without this post's words and author; `None` when it never held it."""
    message: Body = json.loads(body)
    data = message["data"]
    if message["type"] == "post.edited":
        if not _is(data, post) or data.get("text") is None:
            return None
        data["text"] = None
        return _bytes(message)
    root, found = data.get("root"), False
    if root is not None and _is(root, post) and not root.get("redacted"):
        data["root"] = {key: root[key] for key in ("network", "post_id", "kind", "at")} | {"redacted": True}
        gone = ("post", "reply") if data.get("driver") is None else ("root",)
        data["links"] = {name: link for name, link in data["links"].items() if name not in gone}
        found = True
    driver = data.get("driver")
    if driver is not None and _is(driver, post):
        del data["driver"]
        data["links"] = {name: link for name, link in data["links"].items() if name not in ("post", "reply")}
        found = True
    for name in ("loudest", "exemplars"):
        cards = data.get(name, [])
        kept = [card for card in cards if not _is(card, post)]
        found = found or len(kept) < len(cards)
        if cards:
            data[name] = kept
    return _bytes(message) if found else None


def with_edit(body: bytes, post: PostCard) -> bytes | None:
    """The body with the new words of this post, which is as it may leave the house; `None` when it holds no others."""
    message: Body = json.loads(body)
    data, changed = message["data"], False
    new: Body = {"text": None if post.text is None else _cut(post.text, _TEXT_CHARS)}
    if post.edited_at is not None:
        new["edited_at"] = post.model_dump(mode="json", include={"edited_at"})["edited_at"]
    single = [data[name] for name in ("root", "driver") if data.get(name)]
    for card in (*single, *data.get("loudest", ()), *data.get("exemplars", ())):
        if not _is(card, (post.network, post.post_id)) or card.get("redacted"):
            continue
        if any(card.get(name) != value for name, value in new.items()):
            changed = True
            card.update(new)
            if card["text"] is None:
                del card["text"]
    return fitted(message) if changed else None


def is_over(data: Body) -> bool:
    """Returns True if the incident in a body has ended."""
    return IncidentState(data["state"]).is_over


def _is(card: Body, post: PostKey) -> bool:
    return (card["network"], card["post_id"]) == post


def _card(card: PostCard) -> Body:
    shown: Body = card.model_dump(mode="json", exclude_none=True, exclude={"policy"})
    return shown


def _links(incident: str, root: Body | None, driver: Body | None, public_url: str | None) -> dict[str, str]:
    """The post that drives the story, and the root beside it where that is another one."""
    links: dict[str, str] = {}
    first = root if driver is None else driver
    if first is not None and "permalink" in first:
        links["post"] = first["permalink"]
    if first is not None and "reply_link" in first:
        links["reply"] = first["reply_link"]
    if driver is not None and root is not None and "permalink" in root:
        links["root"] = root["permalink"]
    if public_url:
        links["incident"] = f"{public_url.rstrip('/')}/console/incidents/{incident}"
    return links


def _bytes(message: Body) -> bytes:
    try:
        return msgspec.json.encode(message)
    except UnicodeEncodeError:  # half a character
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "\u2026"


def _cut_texts(data: Body, chars: int) -> None:
    single = [data[name] for name in ("root", "driver") if data.get(name)]
    for card in single + data["loudest"] + data["exemplars"]:
        if "text" in card:
            card["text"] = _cut(card["text"], chars)


def _cut_strings(value: Any, chars: int) -> Any:
    if isinstance(value, str):
        return _cut(value, chars)
    if isinstance(value, dict):
        return {key: _cut_strings(inner, chars) for key, inner in value.items()}
    return [_cut_strings(inner, chars) for inner in value] if isinstance(value, list) else value


def _drop(name: str) -> Callable[[Body], None]:
    return lambda data: data.update({name: []})


def _fewer_notes(data: Body) -> None:
    """Notes give way first: all of them stand in the incident."""
    if data.get("notes"):
        data["notes"] = [note | {"text": _cut(note["text"], _SHORT_CHARS)} for note in data["notes"][-_NOTES:]]


_REDUCERS: Final[tuple[Callable[[Body], None], ...]] = (
    _fewer_notes,
    lambda data: _cut_texts(data, _TEXT_CHARS),
    lambda data: _cut_texts(data, _SHORT_CHARS),
    _drop("exemplars"),
    _drop("loudest"),
    lambda data: data.update({"links": {n: link for n, link in data["links"].items() if len(link) <= _TEXT_CHARS}}),
    lambda data: data.update(_cut_strings(data, _WORDS_CHARS)),
    # Characters that need six bytes each, in every field at once: nobody writes so, but the bound holds.
    lambda data: data.update(_cut_strings(data, 100)),
    lambda data: data.update(_cut_strings(data, 40)),
)


def fitted(message: Body) -> bytes:
    """Returns the body, with less of what matters least if it would be too large."""
    body = _bytes(message)
    for reduce in _REDUCERS:
        if len(body) < MAX_BODY_BYTES:
            return body
        reduce(message["data"])
        message["data"]["truncated"] = True
        body = _bytes(message)
    return body
