"""Outlets from a signal to what arrives: one key through a whole story, answers that come back, and nothing to strangers."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from alerter.notify import links
from services.base import egress
from services.contracts.signal import Level
from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import Got, verify
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

ONE_STEP = [{"id": "default", "steps": [{"endpoints": ["all"]}]}]
ROUTING_KEY = "0123456789abcdef0123456789abcdef"
INBOUND = "what-pagerduty-signs-with"


async def only(house: House, kind: str, **more: Any) -> None:
    body = {"name": "out", "kind": kind, "url": house.receiver.url("/out"), **more}
    answer = await house.http.post("/v1/endpoints", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["secret"] is None


def at(house: House, path: str = "/out") -> list[Any]:
    return [one.body for one in house.receiver.at(path)]


async def story(house: House) -> str:
    """An incident that is opened, taken, and resolved; its id."""
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    for deed in ("acknowledge", "resolve"):
        await house.http.post(f"/v1/incidents/{incident['id']}/{deed}", json={"by": "dana"})
        await house.settle()
    return str(incident["id"])


@pytest.fixture
async def quiet(make_house: MakeHouse) -> Any:
    """A running alerter without any endpoint; every policy tells all."""
    made = make_house(make.config(policies=ONE_STEP))
    await made.receiver.start()
    async with made.running():
        yield made


async def test_pagerduty_sees_one_incident_triggered_taken_and_over(quiet: House) -> None:
    await only(quiet, "pagerduty", key=ROUTING_KEY)
    incident = await story(quiet)
    assert [event["event_action"] for event in at(quiet)] == ["trigger", "acknowledge", "resolve"]
    assert {event["dedup_key"] for event in at(quiet)} == {f"firebreak-{incident}"}
    assert {event["routing_key"] for event in at(quiet)} == {ROUTING_KEY}
    assert "webhook-signature" not in quiet.receiver.at("/out")[0].headers
    shown = (await quiet.http.get("/v1/endpoints")).text + (await quiet.http.get("/v1/audit")).text
    assert ROUTING_KEY not in shown


def from_pagerduty(kind: str, incident: str, event: str = "E1") -> bytes:
    data = {"id": "PGR0VU2", "type": "incident", "incident_key": f"firebreak-{incident}", "status": "acknowledged"}
    return json.dumps(
        {"event": {"id": event, "event_type": kind, "agent": {"summary": "Dana Scully"}, "data": data}}
    ).encode()


def signature(body: bytes, secret: str = INBOUND) -> dict[str, str]:
    return {"x-pagerduty-signature": "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}


async def test_an_acknowledgement_in_pagerduty_counts_here_if_pagerduty_signed_it(quiet: House) -> None:
    await only(quiet, "pagerduty", key=ROUTING_KEY, inbound_secret=INBOUND)
    await quiet.endpoint("desk")
    await quiet.signal(make.forecast())
    await quiet.settle()
    (incident,) = await quiet.incidents()
    body, path = from_pagerduty("incident.acknowledged", incident["id"]), "/v1/inbound/pagerduty/out"
    quiet.http.headers.pop("authorization")  # it has no key of ours
    for headers in ({}, signature(body, "another secret"), signature(body + b" ")):
        assert (await quiet.http.post(path, content=body, headers=headers)).status_code == 401
    assert (
        await quiet.http.post("/v1/inbound/pagerduty/desk", content=body, headers=signature(body))
    ).status_code == 401
    assert (await quiet.http.post(path, content=b"{}", headers=signature(b"{}"))).status_code == 422
    for code in (204, 200):  # the second time nothing is left to do, which is no error
        assert (await quiet.http.post(path, content=body, headers=signature(body))).status_code == code
    await quiet.settle()
    heard = [one for one in quiet.receiver.at("/desk") if one.type == "incident.acknowledged"]
    assert [one.body["data"]["acknowledged_by"] for one in heard] == ["Dana Scully (PagerDuty)"]
    strange = from_pagerduty("incident.acknowledged", "f" * 32, "E2")
    assert (await quiet.http.post(path, content=strange, headers=signature(strange))).status_code == 200
    done = from_pagerduty("incident.resolved", incident["id"], "E3")
    assert (await quiet.http.post(path, content=done, headers=signature(done))).status_code == 204
    await quiet.settle()
    assert quiet.receiver.types("/desk")[-1] == "incident.resolved"


async def test_a_repeated_event_of_pagerduty_does_not_take_again_what_was_given_back(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=[{**ONE_STEP[0], "acknowledgement_minutes": 30}]))
    await house.receiver.start()
    async with house.running():
        await only(house, "pagerduty", key=ROUTING_KEY, inbound_secret=INBOUND)
        await house.signal(make.forecast())
        await house.settle()
        (incident,) = await house.incidents()
        body = from_pagerduty("incident.acknowledged", incident["id"])
        await house.http.post("/v1/inbound/pagerduty/out", content=body, headers=signature(body))
        await house.pass_time(31 * 60)
        assert (await house.incidents())[0]["acknowledged_by"] is None
        await house.http.post("/v1/inbound/pagerduty/out", content=body, headers=signature(body))
        assert (await house.incidents())[0]["acknowledged_by"] is None


async def test_an_older_state_does_not_follow_a_newer_one_where_a_state_is_kept(quiet: House) -> None:
    await only(quiet, "pagerduty", key=ROUTING_KEY)
    quiet.receiver.answers["/out"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    (incident,) = await quiet.incidents()
    quiet.receiver.answers.pop("/out")
    await quiet.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "dana"})
    await quiet.settle()
    await quiet.pass_time(60, step=1)
    assert [event["event_action"] for event in at(quiet)] == ["trigger", "resolve"]
    assert [one["state"] for one in await quiet.deliveries()] == ["delivered", "superseded"]


@pytest.mark.parametrize("kind", ["slack", "teams", "alertmanager_webhook"])
async def test_other_receivers_get_their_own_form(quiet: House, kind: str) -> None:
    await only(quiet, kind, per_second=1000)
    await story(quiet)
    assert len(at(quiet)) == 3
    for message in at(quiet):
        text = json.dumps(message)
        assert "is likely to cross the line" in text
        assert "blocks" in message or "attachments" in message or message["version"] == "4"
    await quiet.signal(make.redacted())
    await quiet.settle()
    assert len(at(quiet)) == 3


async def test_apprise_reaches_what_is_allowed_and_nothing_else(quiet: House) -> None:
    port = quiet.receiver.port
    for name, url in (
        ("mail", f"json://127.0.0.1:{port}/mail"),
        ("inside", "json://10.0.0.1/x"),
    ):
        answer = await quiet.http.post("/v1/endpoints", json={"name": name, "kind": "apprise", "url": url})
        assert answer.status_code == 201, answer.text
        assert "127.0.0.1" not in answer.text
    await quiet.signal(make.forecast())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while {one["state"] for one in await quiet.deliveries(endpoint="mail")} != {"delivered"} or any(
            not one["attempts"] or one["attempts"][0]["outcome"] == "begun" for one in await quiet.deliveries()
        ):
            await asyncio.sleep(0.1)
    came = {one["endpoint"]: one["attempts"][0] for one in await quiet.deliveries()}
    assert {name: one["outcome"] for name, one in came.items()} == {
        "mail": "delivered",
        "inside": "blocked",
    }
    assert came["inside"]["detail"] == "leads to 10.0.0.1, which is not allowed (private)"
    (got,) = at(quiet, "/mail")
    assert "is likely to cross the line" in got["title"]
    assert "By when" in got["message"]


async def test_a_link_shows_with_get_and_acts_with_post(quiet: House) -> None:
    await quiet.endpoint("desk")
    await quiet.signal(make.forecast())
    await quiet.settle()
    (got,) = quiet.receiver.at("/desk")
    verify(quiet.secrets["desk"], got)
    link = got.body["data"]["links"]["acknowledge"]
    assert link.startswith("https://firebreak.example/acknowledge/")
    path = link.removeprefix("https://firebreak.example")
    quiet.http.headers.pop("authorization")
    for _ in range(3):
        shown = await quiet.http.get(path)
        assert (shown.status_code, shown.headers["cache-control"]) == (200, "no-store")
        assert "Nobody has it yet" in shown.text
    done = await quiet.http.post(path, data={"by": "Dana <b>", "comment": "on it"})
    assert done.status_code == 200
    assert "Dana &lt;b&gt; (desk) has it" in done.text
    assert (await quiet.http.post(path)).status_code == 200
    await quiet.settle()
    heard = quiet.receiver.at("/desk")[-1].body["data"]
    assert heard["acknowledged_by"] in ("Dana <b> (desk)", "desk")
    ticket = path.rpartition("/")[2]
    for forged in (ticket[:-2] + "AA", ticket.partition(".")[0], "x", "a.b", "\u00e9", ticket + "x" * 400):
        assert (await quiet.http.get(f"/acknowledge/{forged}")).status_code == 404
        assert (await quiet.http.post(f"/acknowledge/{forged}")).status_code == 404
    later = quiet.alerter._wall() + links.VALID.total_seconds() + 1
    quiet.alerter._wall = lambda: later
    assert (await quiet.http.get(path)).status_code == 410
    assert (await quiet.http.post(path)).status_code == 410


async def test_a_link_is_the_same_in_every_attempt_and_for_every_replica(quiet: House) -> None:
    await quiet.endpoint("desk")
    quiet.receiver.answers["/desk"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await quiet.pass_time(10, step=1)
    assert len(quiet.receiver.at("/desk")) >= 3
    assert len({one.raw for one in quiet.receiver.at("/desk")}) == 1


async def test_a_rotated_secret_signs_beside_the_old_one_until_its_grace_is_over(quiet: House) -> None:
    old = await quiet.endpoint("desk")
    answer = await quiet.http.post("/v1/endpoints/desk/secret", json={"grace_hours": 1})
    new = answer.json()["secret"]
    await quiet.http.post("/v1/endpoints/desk/test")
    await quiet.settle()
    (both,) = quiet.receiver.at("/desk")
    verify(old, both)
    verify(new, both)
    later = quiet.alerter._wall() + 3601
    quiet.alerter.deliverer._wall = lambda: later
    await quiet.http.post("/v1/endpoints/desk/test")
    await quiet.settle()
    alone = quiet.receiver.at("/desk")[-1]
    verify(new, alone)
    assert len(alone.headers["webhook-signature"].split()) == 1


async def test_what_fails_goes_to_the_fallback_and_its_owner_hears_once(quiet: House) -> None:
    await quiet.endpoint("owner", subscribed=True, types=["endpoint.*"], brands=["other"])
    await quiet.endpoint("spare", brands=["other"])
    await quiet.endpoint("desk", owner="owner", fallback="spare")
    quiet.receiver.answers["/desk"] = receiver.status(500)
    await quiet.signal(make.forecast())
    await quiet.settle()
    await quiet.pass_time(10, step=1)
    assert quiet.receiver.types("/spare") == ["incident.opened"]
    (opened,) = quiet.receiver.at("/spare")
    verify(quiet.secrets["spare"], opened)
    assert opened.id != quiet.receiver.at("/desk")[0].id
    await quiet.pass_time(60, step=2)
    assert quiet.receiver.types("/owner") == ["endpoint.failing"]
    assert quiet.receiver.at("/owner")[0].body["data"]["endpoint"] == "desk"
    quiet.receiver.answers.pop("/desk")
    await quiet.pass_time(60, step=2)
    assert quiet.receiver.types("/owner") == ["endpoint.failing", "endpoint.recovered"]
    assert quiet.receiver.types("/spare") == ["incident.opened"]


async def test_a_message_that_waits_for_a_minute_goes_to_the_fallback_too(quiet: House) -> None:
    await quiet.endpoint("spare", brands=["other"])
    await quiet.endpoint("desk", fallback="spare")
    quiet.receiver.answers["/desk"] = receiver.status(503, "retry-after: 60")
    await quiet.signal(make.forecast())
    await quiet.settle()
    await quiet.pass_time(59, step=1)
    assert quiet.receiver.at("/spare") == []
    await quiet.pass_time(2, step=1)
    assert quiet.receiver.types("/spare") == ["incident.opened"]


async def test_a_receiver_that_is_down_costs_one_probe_at_a_time_and_gets_all_when_it_is_back(quiet: House) -> None:
    await quiet.endpoint("desk")
    quiet.receiver.answers["/desk"] = receiver.status(500)
    for number in range(30):
        await quiet.signal(make.forecast(story=f"bsky:s{number}"))
    await quiet.settle()
    await quiet.pass_time(600, step=5)
    assert len(quiet.receiver.at("/desk")) < 60
    quiet.receiver.answers.pop("/desk")
    await quiet.pass_time(70, step=5)
    assert {one["state"] for one in await quiet.deliveries(limit="200")} == {"delivered"}


async def test_all_that_failed_since_a_moment_is_sent_again_under_its_ids(quiet: House) -> None:
    await quiet.endpoint("desk")
    quiet.receiver.answers["/desk"] = receiver.status(410)
    for number in range(3):
        await quiet.signal(make.forecast(story=f"bsky:s{number}"))
    await quiet.settle()
    assert {one["state"] for one in await quiet.deliveries()} == {"cancelled"}
    since = {"since": (make.NOW - timedelta(minutes=1)).isoformat()}
    assert (await quiet.http.post("/v1/endpoints/desk/resend", json=since)).status_code == 409
    quiet.receiver.answers.pop("/desk")
    assert (await quiet.http.post("/v1/endpoints/desk/enable")).json()["state"] == "enabled"
    later = {"since": (make.NOW + timedelta(minutes=1)).isoformat()}
    assert (await quiet.http.post("/v1/endpoints/desk/resend", json=later)).json() == {"deliveries": 0}
    assert (await quiet.http.post("/v1/endpoints/desk/resend", json=since)).json() == {"deliveries": 3}
    await quiet.settle()
    assert {one["state"] for one in await quiet.deliveries()} == {"delivered"}
    assert {one.id for one in quiet.receiver.at("/desk")} == {one["id"] for one in await quiet.deliveries()}


async def test_a_delivery_is_shown_with_its_body_and_what_came_back(quiet: House) -> None:
    await quiet.endpoint("desk")
    quiet.receiver.answers["/desk"] = receiver.status(200, body=b"thanks")
    await quiet.signal(make.forecast())
    await quiet.settle()
    (one,) = await quiet.deliveries()
    shown = (await quiet.http.get(f"/v1/deliveries/{one['id']}")).json()
    assert shown["body"]["type"] == "incident.opened"
    assert shown["attempts"][0]["detail"] == "thanks"


async def test_a_subscriber_hears_what_it_wants_without_any_policy(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=[{"id": "default", "steps": [{"endpoints": ["desk"]}]}]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.endpoint("centre", subscribed=True)
        await house.endpoint("ends", subscribed=True, types=["incident.resolved"])
        await house.endpoint("worst", subscribed=True, severities=[1])
        await house.endpoint("other", subscribed=True, brands=["other"])
        await house.endpoint("nobody")
        await story(house)
        assert house.receiver.types("/centre") == house.receiver.types("/desk")
        assert house.receiver.types("/ends") == ["incident.resolved"]
        assert {one["severity"] for one in await house.incidents()} == {3}
        for name in ("worst", "other", "nobody"):
            assert house.receiver.at(f"/{name}") == []


async def test_no_more_is_sent_at_once_than_an_endpoint_takes(quiet: House) -> None:
    inside, most = 0, 0

    async def slow(_got: Got, writer: asyncio.StreamWriter) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.02)
        inside -= 1
        writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        await writer.drain()

    await quiet.endpoint("desk", concurrency=2)
    quiet.receiver.answers["/desk"] = slow
    for number in range(12):
        await quiet.signal(make.forecast(story=f"bsky:s{number}"))
    await quiet.settle()
    assert len(quiet.receiver.at("/desk")) == 12
    assert most == 2


async def test_a_connection_is_kept_for_a_while_and_then_resolved_and_checked_anew(make_house: MakeHouse) -> None:
    answers = ["127.0.0.1"]
    asked: list[str] = []

    async def resolver(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return answers

    house = make_house(make.config(policies=ONE_STEP))
    house.receiver.keeps_alive = True
    await house.receiver.start()
    async with house.running(resolver=resolver):
        url = f"http://hooks.example:{house.receiver.port}/desk"
        await house.http.post("/v1/endpoints", json={"name": "desk", "url": url})
        for number in range(4):
            await house.signal(make.forecast(story=f"bsky:s{number}"))
            await house.settle()
        assert (len(asked), house.receiver.connections) == (1, 1)
        answers[:] = ["10.0.0.1"]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(egress, "LIFETIME_SECONDS", 0.0)
            await house.signal(make.forecast(2, Level.CROSSED, story="bsky:s9"))
            await house.settle()
        assert (len(asked), len(house.receiver.at("/desk"))) == (2, 4)
        (last, *_) = [one for one in await house.deliveries() if one["state"] == "pending"]
        assert last["attempts"][0]["outcome"] == "blocked"


NO_APPRISE = (
    *(
        "banana://x",
        "foo://x",
        "nosuchservice://x",
        "https://hook.example/x",
        "http://hook.example",
        "syslog://localhost",
    ),
    *(
        "file:///etc/passwd",
        "memory://",
        "dbus://",
        "mailto://",
        "xml://[::1",
        "slack://x",
        "json://",
        "json://:99999999/x",
    ),
    # Each would open a file of this machine, and most would send what is in it.
    "workflows://flow.example/work/sign?template=/etc/passwd",
    "workflows://flow.example/work/sign?template=file:///etc/passwd",
    "workflow://flow.example/work/sign/?template=%2Fetc%2Fpasswd",
    "discord://webhookid/webhooktoken/?template=/etc/passwd",
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?template=/etc/passwd",
    "tgram://123456789:abcdefg_hijklmnop/12315544/?template=/etc/passwd",
    "fcm://project/device/?mode=oauth2&keyfile=/etc/passwd",
    "mailto://user:pass@mail.example?pgp=yes&pgppub=/etc/passwd",
    "mailto://user:pass@mail.example?pgp=yes&PGPPRV=/etc/passwd",
    "vapid://user@mail.example?keyfile=/etc/passwd&subfile=/etc/passwd",
    "json://hook.example/?attach=/etc/passwd",
    "json://hook.example/?:x=file%3A%2F%2F%2Fetc%2Fpasswd",
    "ntfy://topic/?%61ttach=/etc/passwd",
)
NO_URL = (
    *("banana://x", "https://", "https://[::1", "https://a.example:99999", "https://a..example", "https://-a.example"),
    *(
        "https://" + "a" * 64 + ".example",
        "https://a.example:x",
        "//a.example",
        "https:a.example",
        "https://%61.example",
    ),
)


async def test_a_url_that_no_outlet_takes_or_that_opens_a_file_is_refused_when_it_is_given(quiet: House) -> None:
    for kind, urls in (("apprise", NO_APPRISE), ("webhook", NO_URL), ("slack", NO_URL), ("alertmanager", NO_URL)):
        for url in urls:
            answer = await quiet.http.post("/v1/endpoints", json={"name": "one", "kind": kind, "url": url})
            assert answer.status_code == 422, (kind, url)
            assert [one["at"] for one in answer.json()["errors"]] == ["body.url"], (kind, url)
            assert "passwd" not in answer.text
            assert "pass@" not in answer.text
    assert (await quiet.http.get("/v1/endpoints")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "at_"),
    [
        ({"kind": "pagerduty"}, "body.key"),
        ({"kind": "pagerduty", "key": "short"}, "body.key"),
        ({"kind": "slack", "url": "https://hooks.slack.com/x", "key": "a"}, "body.key"),
        ({"kind": "webhook"}, "body.url"),
        (
            {"kind": "alertmanager", "url": "https://a.example", "options": {"resend_seconds": 0}},
            "body.options.resend_seconds",
        ),
        ({"kind": "alertmanager", "url": "https://a.example", "options": {"nothing": 1}}, "body.options.nothing"),
        (
            {"kind": "alertmanager", "url": "https://a.example", "options": {"peers": ["http://10.0.0.1"]}},
            "body.options.peers",
        ),
        ({"kind": "apprise", "url": "not one"}, "body.url"),
        ({"url": "https://a.example", "owner": "nobody"}, "body.owner"),
        ({"url": "https://a.example", "fallback": "one"}, "body.fallback"),
        ({"url": "https://a.example", "inbound_secret": "0123456789abcdef"}, "body.inbound_secret"),
    ],
)
async def test_what_cannot_be_an_endpoint_is_refused_with_the_field(quiet: House, body: Any, at_: str) -> None:
    answer = await quiet.http.post("/v1/endpoints", json={"name": "one", **body})
    assert (answer.status_code, [one["at"] for one in answer.json()["errors"]]) == (422, [at_])
    assert not re.search("short", answer.text)
