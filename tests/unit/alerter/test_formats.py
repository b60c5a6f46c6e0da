"""Every outlet states what every message must, within its receiver's limits, and never a post's words."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify import buttons
from alerter.notify.formats import alertmanager, native, ntfy, pagerduty, plain, slack, teams, telegram
from alerter.notify.formats.notice import Notice, Status, notice_of
from alerter.notify.http import HttpSender
from alerter.notify.kinds import TRAITS
from alerter.notify.links import LinkSigner
from alerter.notify.outlet import Kind
from alerter.notify.outlets import Outlets
from services.base.egress import GuardedBackend, resolve
from services.contracts.incident import Change, Incident, IncidentState
from services.contracts.post import SourcePolicy
from tests.unit.alerter import make

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
WORDS = "a post with words that stay here"


def incident(**more: Any) -> Incident:
    fields: dict[str, Any] = {
        "id": "0" * 32,
        "brand": "acme",
        "story": "bsky:p1",
        "sequence": 3,
        "state": IncidentState.ACTIVE,
        "severity": 1,
        "title": "Acme: a story on bsky has crossed the line of 500 engagements",
        "reason": "the forecast says so",
        "rule": "likely",
        "opened_at": make.NOW,
        "changed_at": make.NOW,
        "root": make.card(text=WORDS, author="@mia"),
        "first_step": "Call the duty manager.",
    }
    return Incident(**(fields | more))


def body_of(one: Incident, because: str = "it has crossed the line") -> bytes:
    return native.render(one, Change.UPDATED, because, lambda _: SourcePolicy.TEXT_ALLOWED, "https://fb.example")


def notice(**more: Any) -> Notice:
    made = notice_of(body_of(incident(**more)))
    assert made is not None
    return made


def every(one: Notice) -> dict[str, str]:
    return {
        "pagerduty": pagerduty.render(one, "k" * 32).decode(),
        "alertmanager": alertmanager.encoded(alertmanager.alerts(one, {}, NOW, timedelta(minutes=10))).decode(),
        "webhook": alertmanager.render_webhook(one, "firebreak", None).decode(),
        "slack": slack.render(one).decode(),
        "teams": teams.render(one).decode(),
        "telegram": telegram.render(one, {"chat": "1"}, None, None).decode(),
        "ntfy": ntfy.render(one, "topic", None).decode(),
        "plain": plain.title(one) + "\n" + plain.lines(one),
    }


@pytest.mark.parametrize(
    "outlet", ["pagerduty", "alertmanager", "webhook", "slack", "teams", "telegram", "ntfy", "plain"]
)
def test_every_message_on_every_outlet_states_the_same(outlet: str) -> None:
    said = every(notice())[outlet]
    for words in (
        "has crossed the line of 500 engagements",  # what happened
        "it has crossed the line",  # what changed
        "the forecast says so",  # why it fired
        "There is no forecast yet",  # how sure
        "Answer now",  # by when
        "Nobody has it yet",  # who has it
        "Call the duty manager",  # the first step
        "https://fb.example/console/incidents/",  # where
    ):
        assert words in said, words
    assert WORDS not in said
    assert "mia" not in said


def test_a_redaction_concerns_only_those_who_were_sent_words() -> None:
    assert notice_of(b'{"type":"post.redacted","timestamp":"2026-03-01T00:00:00+00:00","data":{}}') is None


@pytest.mark.parametrize(
    ("more", "action"),
    [
        ({}, "trigger"),
        ({"acknowledged_by": "dana", "acknowledged_at": make.NOW}, "acknowledge"),
        ({"state": IncidentState.RESOLVED}, "resolve"),
        ({"state": IncidentState.AVERTED, "acknowledged_by": "dana"}, "resolve"),
        ({"state": IncidentState.EXPIRED}, "resolve"),
    ],
)
def test_pagerduty_gets_one_key_and_the_state_as_an_action(more: dict[str, Any], action: str) -> None:
    event = json.loads(pagerduty.render(notice(**more), "k" * 32))
    assert (event["event_action"], event["dedup_key"]) == (action, "firebreak-" + "0" * 32)
    assert event["routing_key"] == "k" * 32
    if action == "trigger":
        assert {"summary", "source", "severity"} <= event["payload"].keys()
        assert event["payload"]["severity"] == "critical"


@given(st.text(max_size=6000), st.text(max_size=6000), st.sampled_from(list(Status)))
def test_no_text_breaks_a_limit(title: str, words: str, status: Status) -> None:
    one = Notice(
        type="incident.updated",
        key="0" * 32,
        status=status,
        severity=2,
        title=title,
        because=words,
        facts=tuple((f"Fact {n}", words) for n in range(9)),
        links=(("post", "The post", "https://x.example/" + "a" * 1900),) * 4,
        at=NOW.isoformat(),
        began=NOW.isoformat(),
        brand="acme",
        rule="r",
    )
    event = json.loads(pagerduty.render(one, "k" * 32))
    assert len(event.get("payload", {}).get("summary", "")) <= 1024
    assert len(json.dumps(event).encode()) < 512_000
    message = json.loads(slack.render(one))
    assert len(message["blocks"]) <= 50
    texts = [block["text"]["text"] for block in message["blocks"]]
    assert len(texts[0]) <= 150
    assert all(0 < len(text) <= 3000 for text in texts)
    assert sum(map(len, texts)) < 13_200
    assert len(teams.render(one)) < 28_000
    assert len(plain.title(one)) <= 250
    data = buttons.heard_from(LinkSigner("https://x.example", b"k" * 32), True, "0" * 32, "e" * 64)
    chat = json.loads(telegram.render(one, {"chat": "1"}, data, "7"))
    assert 0 < len(chat["text"].encode("utf-16-le", "replace")) // 2 <= 4096
    rows = chat.get("reply_markup", {}).get("inline_keyboard", [])
    assert all(len(button.get("callback_data", "").encode()) <= 64 for row in rows for button in row)
    if status in (Status.ACKNOWLEDGED, Status.RESOLVED):
        changed = json.loads(telegram.changed(one, {"chat": "1"}, "7")[1])
        assert 0 < len(changed["text"].encode("utf-16-le", "replace")) // 2 <= 4096
    push = ntfy.render(one, "topic", "https://x.example/acknowledge/once/" + "a" * 300)
    assert len(push) <= 8192
    assert len(json.loads(push)["message"].encode("utf-8", "replace")) <= 4096
    assert len(json.loads(push).get("actions", [])) <= 3
    json.loads(alertmanager.render_webhook(one, "r", None))


def test_no_title_mentions_everybody_in_slack_or_hides_a_link_in_teams() -> None:
    hostile = notice(title="<!channel> <https://evil.example|click> [here](https://evil.example)")
    said = slack.render(hostile).decode()
    sections = [block["text"]["text"] for block in json.loads(said)["blocks"] if block["type"] == "section"]
    assert not [text for text in sections if "<!" in text]
    assert "<!channel>" not in json.loads(said)["text"]
    card = json.loads(teams.render(hostile))["attachments"][0]["content"]["body"][0]["text"]
    assert "\\[here\\]" in card


def test_an_alert_keeps_its_labels_whatever_changes_and_only_its_severity_fires() -> None:
    first = alertmanager.alerts(notice(severity=2), {"team": "care"}, NOW, timedelta(minutes=10))
    later = alertmanager.alerts(notice(severity=1, sequence=9), {"team": "care"}, NOW, timedelta(minutes=10))
    identities = [sorted(json.dumps(a["labels"], sort_keys=True) for a in alerts) for alerts in (first, later)]
    assert identities[0] == identities[1]
    for alerts, firing in ((first, "error"), (later, "critical")):
        assert [a["labels"]["severity"] for a in alerts if a["endsAt"] > "2026-03-01T12:00:00.000Z"] == [firing]
    assert first[0]["labels"]["team"] == "care"
    ended = alertmanager.alerts(notice(state=IncidentState.RESOLVED), {}, NOW, timedelta(minutes=10))
    assert {a["endsAt"] for a in ended} == {"2026-03-01T12:00:00.000Z"}
    for alert in (*first, *ended):
        assert alert["startsAt"] <= alert["endsAt"]


def test_the_webhook_of_alertmanager_has_every_field_of_version_4() -> None:
    message = json.loads(alertmanager.render_webhook(notice(), "firebreak", "https://fb.example"))
    assert set(message) == {
        *("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels"),
        *("commonAnnotations", "externalURL", "alerts"),
    }
    assert message["version"] == "4"
    (alert,) = message["alerts"]
    assert set(alert) == {
        *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"),
    }


def test_only_pagerduty_itself_can_say_that_somebody_took_it() -> None:
    import hashlib
    import hmac

    body = b'{"event":{}}'
    good = "v1=" + hmac.new(b"secret-of-sixteen", body, hashlib.sha256).hexdigest()
    assert pagerduty.verified("secret-of-sixteen", body, good)
    assert pagerduty.verified("secret-of-sixteen", body, f"v1={'0' * 64}, {good}")
    for header in (None, "", good[:-1], good.upper(), f"v1={'0' * 64}", "\u00e9"):
        assert not pagerduty.verified("secret-of-sixteen", body, header)
    assert not pagerduty.verified("another-secret-16", body, good)
    assert not pagerduty.verified("secret-of-sixteen", body + b" ", good)


@given(st.binary(max_size=300) | st.from_regex(r'\{"event":.*\}').map(str.encode))
def test_nothing_that_comes_back_breaks_the_reader(body: bytes) -> None:
    try:
        came = pagerduty.returned(body)
    except ValueError:
        return
    assert isinstance(came.event, str)


def test_every_kind_of_endpoint_has_its_traits_and_its_outlet() -> None:
    sender = HttpSender(GuardedBackend((), resolve), time.time)
    outlets = Outlets(sender, time.time, LinkSigner(None), (), None)
    assert set(TRAITS) == set(outlets.kinds) == set(Kind)


SLACK_EXAMPLE = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
"""The example of Slack's documentation, with its signing secret, time and signature below."""


def test_slack_signs_as_in_the_example_of_its_documentation() -> None:
    secret, stamp = "8f742231b10e8888abcd99yyyzzz85a5", "1531420618"
    right = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert slack.verified(secret, SLACK_EXAMPLE, stamp, right, 1531420618 + 299)
    for now in (1531420618 + 301, 1531420618 - 301):
        assert not slack.verified(secret, SLACK_EXAMPLE, stamp, right, now)
    for header in (None, "", right[:-1], right.upper(), "\u00e9"):
        assert not slack.verified(secret, SLACK_EXAMPLE, stamp, header, 1531420618)
    for other in (None, "", "1531420619", "now", "-1", "1531420618.0"):
        assert not slack.verified(secret, SLACK_EXAMPLE, other, right, 1531420618)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://firebreak.example/x", True),
        ("https://sub.firebreak.example:8443/x", True),
        ("http://localhost:8080/x", False),
        ("http://127.0.0.1/x", False),
        ("https://[::1]/x", False),
        ("https://firebreak/x", False),
        ("mailto:a@b.example", False),
        ("https://[broken/x", False),
    ],
)
def test_a_link_that_telegram_would_refuse_with_the_whole_message_is_no_button(url: str, taken: bool) -> None:
    assert telegram.is_public(url) is taken


def test_teams_opens_the_page_on_which_it_is_taken() -> None:
    """A workflow's webhook hears nothing of its cards, so its button opens our page."""
    body = LinkSigner("https://fb.example", b"k" * 32).stamped(body_of(incident()), "channel", make.NOW)
    one = notice_of(body)
    assert one is not None
    actions = json.loads(teams.render(one))["attachments"][0]["content"]["actions"]
    assert (actions[0]["type"], actions[0]["title"]) == ("Action.OpenUrl", "I have it")
    assert actions[0]["url"].startswith("https://fb.example/acknowledge/")
