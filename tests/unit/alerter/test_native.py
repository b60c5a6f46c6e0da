"""The body of a webhook: complete, below 20 kB whatever is in it, and never more than a source allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.api.webhook_schema import webhook_schema
from alerter.incidents import model
from alerter.incidents.source_policy import SourcePolicies
from alerter.notify.formats import native
from alerter.rules import decide
from alerter.rules.severity import Grade
from services.contracts.base import StoryId
from services.contracts.incident import Change, Incident
from services.contracts.post import PostKind, SourcePolicy
from services.contracts.signal import PostCard
from tests.unit.alerter import make

SCHEMA = jsonschema_rs.validator_for(webhook_schema())
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30_000)


def incident(
    *exemplars: PostCard, root: PostCard | None = None, driver: PostCard | None = None, **more: Any
) -> Incident:
    signal = make.forecast(root=root or make.card(), driver=driver, exemplars=exemplars, loudest=exemplars)
    decision = decide.Decision(make.rule(), Grade(2, "bad"), "because")
    made = model.open_incident(signal, decision, StoryId(make.STORY), make.UNKNOWN, make.setting("Answer."), make.NOW)
    return made.record.incident.model_copy(update=more)


def allowed(_network: str) -> SourcePolicy:
    return SourcePolicy.TEXT_ALLOWED


def rendered(subject: Incident, policies: SourcePolicies = allowed) -> Any:
    raw = native.render(subject, Change.OPENED, "because", policies, "https://firebreak.example")
    assert len(raw) < native.MAX_BODY_BYTES
    body = json.loads(raw)
    SCHEMA.validate(body)
    return body


@given(TEXTS, TEXTS, st.integers(0, 10), TEXTS)
def test_a_body_stays_below_20_kb_whatever_is_in_it(text: str, link: str, count: int, words: str) -> None:
    posts = [make.card(f"e{n}", text=text, permalink=link, reply_link=link) for n in range(count)]
    subject = incident(
        *posts, root=make.card(text=text, author=words), reason=words, first_step=words, acknowledged_by=words
    )
    body = rendered(subject)
    assert body["data"]["id"] == subject.id
    assert body["data"]["sequence"] == 1
    assert set(body["data"]) >= {
        "because",
        "reason",
        "how_sure",
        "by_when",
        "who_has_it",
        "first_step",
        "links",
        "title",
    }


def test_what_does_not_fit_goes_in_the_stated_order() -> None:
    posts = [make.card(f"e{n}", text=f"x{n}" * 950) for n in range(5)]
    body = rendered(incident(*posts))["data"]
    assert len(body["root"]["text"]) == len("the text of p1")
    assert len(body["exemplars"]) == 5
    assert len(body["exemplars"][0]["text"]) == 600
    assert body["truncated"]
    posts = [make.card(f"e{n}", text=f"x{n}" * 750, permalink="https://x.example/" + "y" * 2000) for n in range(5)]
    body = rendered(incident(*posts))["data"]
    assert (len(body["exemplars"]), len(body["loudest"])) == (0, 5)
    assert "truncated" not in rendered(incident(make.card("e1")))["data"]


def test_the_bound_holds_when_every_field_is_as_bad_as_can_be() -> None:
    bad = "\x01" * 30_000
    post: dict[str, Any] = {"text": bad, "permalink": bad, "reply_link": bad, "author": bad, "language": bad}
    words: dict[str, Any] = dict.fromkeys(
        ("reason", "first_step", "acknowledged_by", "assigned_to", "title", "rule", "story"), bad
    )
    five = [make.card(f"e{n}", **post) for n in range(5)]
    rendered(incident(*five, root=make.card(**post), driver=make.card("d", **post), **words))


@pytest.mark.parametrize("by_network", [True, False])
def test_ids_only_lets_neither_text_nor_author_out(by_network: bool) -> None:
    own = {} if by_network else {"policy": SourcePolicy.IDS_ONLY}
    root = make.card(permalink="https://bsky.example/@Angry.Example/p1", **own)
    subject = incident(make.card("e1", **own), root=root)
    body = rendered(subject, lambda _: SourcePolicy.IDS_ONLY if by_network else SourcePolicy.TEXT_ALLOWED)
    text = json.dumps(body).lower()
    assert "the text of" not in text
    assert "angry" not in text
    assert body["data"]["root"]["post_id"] == "p1"
    assert body["data"]["links"]["reply"] == "https://bsky.example/reply/p1"
    assert "post" not in body["data"]["links"]


def test_internal_posts_do_not_leave_the_house() -> None:
    subject = incident(make.card("e1", policy=SourcePolicy.INTERNAL), make.card("e2"))
    body = rendered(subject)
    assert [card["post_id"] for card in body["data"]["exemplars"]] == ["e2"]
    body = rendered(subject, lambda _: SourcePolicy.INTERNAL)["data"]
    assert (body["root"], body["exemplars"], body["loudest"]) == (None, [], [])
    assert not {"post", "reply"} & set(body["links"])
    assert "bsky.example" not in json.dumps(body)


def test_a_stored_body_forgets_a_post() -> None:
    raw = native.render(incident(make.card("e1"), make.card("e2")), Change.OPENED, "because", allowed, None)
    assert native.without(raw, ("bsky", "unknown")) is None
    without_exemplar = native.without(raw, ("bsky", "e1"))
    assert without_exemplar is not None
    assert b"the text of e1" not in without_exemplar
    assert b"the text of e2" in without_exemplar
    without_root = native.without(without_exemplar, ("bsky", "p1"))
    assert without_root is not None
    assert b"the text of p1" not in without_root
    assert b"bsky.example/post/p1" not in without_root
    assert native.without(without_root, ("bsky", "p1")) is None


def test_the_published_schema_is_what_is_sent() -> None:
    published = Path(__file__).parents[3] / "docs/webhooks/schema.json"
    assert json.loads(published.read_text()) == webhook_schema(), (
        "python -m alerter.api.webhook_schema > docs/webhooks/schema.json"
    )
    SCHEMA.validate(json.loads(native.render_test("desk", make.NOW)))
    nothing_of_ours: tuple[Any, ...] = (
        {"type": "incident.exploded", "timestamp": "2026-01-01T00:00:00Z", "data": {}},
        {},
        [],
    )
    for wrong in nothing_of_ours:
        with pytest.raises(jsonschema_rs.ValidationError):
            SCHEMA.validate(wrong)


def test_the_reply_that_drives_the_story_is_linked_first_and_the_root_beside_it() -> None:
    driver = make.card("p7", kind=PostKind.REPLY)
    body = rendered(incident(driver=driver))["data"]
    assert (body["driver"]["post_id"], body["root"]["post_id"]) == ("p7", "p1")
    links = body["links"]
    assert (links["post"], links["reply"]) == (driver.permalink, driver.reply_link)
    assert links["root"] == make.card().permalink
    assert "driver" not in rendered(incident())["data"]


def test_a_deleted_driver_leaves_the_body_and_its_links_with_it() -> None:
    raw = native.render(incident(driver=make.card("p7")), Change.OPENED, "because", allowed, None)
    without = native.without(raw, ("bsky", "p7"))
    assert without is not None
    assert b"p7" not in without
    data = json.loads(without)["data"]
    assert (data["root"]["post_id"], data["links"]) == ("p1", {"root": make.card().permalink})
    rootless = native.without(raw, ("bsky", "p1"))
    assert rootless is not None
    assert "root" not in json.loads(rootless)["data"]["links"]
    assert json.loads(rootless)["data"]["links"]["post"] == make.card("p7").permalink


def test_the_terms_of_its_network_hold_for_the_driver() -> None:
    def internal(_network: str) -> SourcePolicy:
        return SourcePolicy.INTERNAL

    body = rendered(incident(driver=make.card("p7")), internal)["data"]
    assert "driver" not in body
    assert body["links"].keys() == {"incident"}


def test_the_root_is_where_it_stood_and_a_long_text_of_the_driver_is_cut() -> None:
    body = rendered(incident(driver=make.card("p7", text="x" * 19_000)))["data"]
    assert len(body["driver"]["text"]) == 600
