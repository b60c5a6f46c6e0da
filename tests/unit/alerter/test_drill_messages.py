"""A drill's test page rings like a page of severity 1 on every outlet and says that it is none; a code stands in the message
alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from alerter.notify.formats import alertmanager, native, pagerduty, plain, slack, teams
from alerter.notify.formats.notice import Notice, Status, notice_of
from alerter.notify.links import METHOD_CODE, TEST_PAGE, BadLink, DrillTicket, Expired, LinkSigner
from services.contracts.stage import Misplacement, Moved
from tests.unit.alerter.make import NOW

KEY = b"k" * 32
SIGNER = LinkSigner("https://fb.example/", KEY)
DRILL, ENDS = "d" * 32, NOW + timedelta(minutes=5)


def body(*, is_over: bool = False, links: bool = True) -> bytes:
    made = native.render_drill(DRILL, "dana", "Dana <Ito>", "ada", (NOW, ENDS, NOW), is_over=is_over)
    signer = SIGNER if links else LinkSigner(None, KEY)
    return signer.completed("page.over" if is_over else TEST_PAGE, made, "msg_1", "push", NOW)


def notice(**more: bool) -> Notice:
    found = notice_of(body(**more))
    assert found is not None
    return found


def test_every_outlet_says_that_it_is_a_drill_and_has_the_link() -> None:
    one = notice()
    link = SIGNER.confirm(DRILL, "dana", "push", NOW)
    assert link is not None
    said: dict[str, str] = {
        "pagerduty": pagerduty.render(one, "key").decode(),
        "slack": slack.render(one).decode(),
        "teams": teams.render(one).decode(),
        "alertmanager": alertmanager.encoded(alertmanager.alerts(one, {}, NOW, timedelta(hours=1))).decode(),
        "webhook": alertmanager.render_webhook(one, "x", None).decode(),
        "mail": plain.title(one) + plain.lines(one),
        "short": plain.title(one) + plain.forms(one)[1],
        "shortest": plain.title(one) + plain.forms(one)[2],
    }
    for name, text in said.items():
        assert "drill" in text, name
        assert "nothing is wrong" in text, name
        assert link in text, name


def test_pagers_ring_as_for_severity_1_and_are_told_the_end_under_the_same_key() -> None:
    rings, over = notice(), notice(is_over=True)
    assert (rings.status, over.status) == (Status.DRILL, Status.RESOLVED)
    event, end = (json.loads(pagerduty.render(one, "key")) for one in (rings, over))
    assert (event["event_action"], event["payload"]["severity"], end["event_action"]) == (
        "trigger",
        "critical",
        "resolve",
    )
    assert event["dedup_key"] == end["dedup_key"]
    fires = [one for one in alertmanager.alerts(rings, {}, NOW, timedelta(hours=1)) if one["endsAt"] > one["startsAt"]]
    labels = max(fires, key=lambda one: one["endsAt"])["labels"]
    assert (labels["severity"], labels["alertname"]) == ("critical", "FirebreakPage")


def test_without_a_public_url_it_says_where_to_confirm() -> None:
    one = notice(links=False)
    assert one.links == ()
    assert "in the console under On call" in plain.lines(one)


@pytest.mark.parametrize("hours", [0, 24])
def test_a_link_is_read_again_for_a_day(hours: int) -> None:
    token = str(SIGNER.confirm(DRILL, "dana", "push", NOW)).rpartition("/")[2]
    assert len(token) < 300
    assert SIGNER.read_confirm(token, NOW + timedelta(hours=hours)) == DrillTicket(DRILL, "dana", "push")
    with pytest.raises(Expired):
        SIGNER.read_confirm(token, NOW + timedelta(hours=24, seconds=1))


def test_the_longest_names_still_fit_a_link() -> None:
    token = str(SIGNER.confirm(DRILL, "r" * 64, "e" * 64, NOW)).rpartition("/")[2]
    assert SIGNER.read_confirm(token, NOW).responder == "r" * 64


def test_a_link_for_one_thing_is_none_for_another_and_none_of_another_installation() -> None:
    confirm = str(SIGNER.confirm(DRILL, "dana", "push", NOW)).rpartition("/")[2]
    acknowledge = str(SIGNER.acknowledge("0" * 32, "push", NOW)).rpartition("/")[2]
    for read, token in (
        (SIGNER.read, confirm),
        (SIGNER.read_confirm, acknowledge),
        (LinkSigner("https://fb.example", b"x" * 32).read_confirm, confirm),
    ):
        with pytest.raises(BadLink):
            read(token, NOW)


def test_a_code_is_put_in_when_it_is_sent_and_is_of_one_delivery() -> None:
    made = native.render_code("dana", "Dana Ito", "push", ENDS, NOW)
    assert "code" not in json.loads(made)["data"]
    sent: Any = json.loads(SIGNER.completed(METHOD_CODE, made, "msg_1", "push", NOW))
    assert sent["data"]["code"] == SIGNER.code("msg_1")
    codes = {SIGNER.code(f"msg_{number}") for number in range(500)}
    assert all(len(code) == 6 and code.isdigit() for code in codes)
    assert len(codes) > 490
    assert any(code.startswith("0") for code in codes), "a code keeps its zeros"
    assert LinkSigner(None, b"x" * 32).code("msg_1") != SIGNER.code("msg_1")


def test_a_short_text_message_has_the_code_in_its_first_line() -> None:
    made = native.render_code("dana", "Dana Ito", "push", ENDS, NOW)
    one = notice_of(SIGNER.completed(METHOD_CODE, made, "msg_1", "push", NOW))
    assert one is not None
    assert SIGNER.code("msg_1") in plain.title(one)[:40]
    for form in plain.forms(one):
        assert SIGNER.code("msg_1") in form


def test_each_loss_of_the_log_is_one_of_its_own_at_a_pager() -> None:
    keys = set()
    for stage, partition, position in (("scorer", 1, 10), ("scorer", 1, 40), ("scorer", 2, 10), ("alerter", 1, 10)):
        moved = Moved(stage=stage, partition=partition, position=position, goes_on_at=90, why=Misplacement.RETENTION)
        said = notice_of(native.render_log("log.dropped", "lost", moved, NOW))
        assert said is not None
        keys.add(said.key)
    assert len(keys) == 4
