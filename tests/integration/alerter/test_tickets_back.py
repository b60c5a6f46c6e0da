"""What comes back from systems with tickets: solved, assigned and commented, from whoever proves to be it, and no echo."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from alerter.store.tables import endpoints
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_tickets import ON_SQLITE, act, add, desk, opened, secret
from tests.integration.alerter.vendor import Vendor
from tests.unit.alerter import make

__all__ = ["secret"]
INBOUND = "what-the-vendor-signs-with"
PATH = "/v1/inbound/ticket/crm"


def by_zendesk(house: House, body: bytes, key: str = INBOUND, minutes: float = 0) -> dict[str, str]:
    at = (house.alerter.context().wall + timedelta(minutes=minutes)).isoformat()
    mac = hmac.new(key.encode(), at.encode() + body, hashlib.sha256).digest()
    signature = base64.b64encode(mac).decode()
    return {"x-zendesk-webhook-signature": signature, "x-zendesk-webhook-signature-timestamp": at}


def unsigned(_house: House, _body: bytes) -> dict[str, str]:
    return {}


def by_bearer(_house: House, _body: bytes) -> dict[str, str]:
    return {"authorization": f"Bearer {INBOUND}"}


def by_jira(_house: House, body: bytes) -> dict[str, str]:
    return {"x-hub-signature": "sha256=" + hmac.new(INBOUND.encode(), body, hashlib.sha256).hexdigest()}


def by_chatwoot(house: House, body: bytes) -> dict[str, str]:
    at = str(int(house.alerter.context().wall.timestamp()))
    mac = hmac.new(INBOUND.encode(), at.encode() + b"." + body, hashlib.sha256)
    return {"x-chatwoot-signature": f"sha256={mac.hexdigest()}", "x-chatwoot-timestamp": at}


def by_genesys(_house: House, body: bytes) -> dict[str, str]:
    mac = hmac.new(INBOUND.encode(), body, hashlib.sha256).digest()
    return {"x-hub-signature-256": "sha256=" + base64.b64encode(mac).decode()}


def zendesk(kind: str, current: Any = None, event: str = "E1", actor: str = "9", **more: Any) -> dict[str, Any]:
    """An event as Zendesk sends it."""
    return {
        "type": f"zen:event-type:ticket.{kind}",
        "id": event,
        "detail": {"id": "101", "actor_id": actor, "external_id": None, "tags": ["firebreak", "recall", "firebreak-0"]},
        "event": {"current": current, "previous": "x", **more},
    }


async def say(
    house: House, message: Any, sign: Callable[[House, bytes], Mapping[str, str]] = by_zendesk, path: str = PATH
) -> int:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    headers = {"authorization": "", **sign(house, body)}
    answer = await house.http.post(path, content=body, headers=headers)
    await house.settle()
    return answer.status_code


async def only(house: House) -> Any:
    (incident,) = await house.incidents()
    return incident


async def test_what_is_done_in_the_ticket_is_done_here(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, _):
        incident = await opened(house)
        assert await say(house, zendesk("agent_assignment_changed", "77", "E1")) == 204
        assert (await only(house))["acknowledged_by"] == "somebody (crm)"
        comment = {"body": "the caller has a photo", "author": {"id": "5", "name": "Lee\u202e Smith"}}
        assert await say(house, zendesk("comment_added", None, "E2", comment=comment)) == 204
        (note,) = (await only(house))["notes"]
        assert (note["by"], note["text"]) == ("Lee Smith (crm)", "the caller has a photo")
        assert (await only(house))["labels"] == ["recall"]
        assert await say(house, zendesk("status_changed", "SOLVED", "E3")) == 204
        assert (await only(house))["state"] == "resolved"
        audit = (await house.http.get("/v1/audit")).json()["items"]
        done = [one["what"] for one in audit if one["on"] == incident]
        assert sorted(done) == [
            "incident.acknowledged",
            "incident.labelled",
            "incident.noted",
            "incident.resolved",
        ]


async def test_only_the_system_itself_is_heard(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, _):
        await opened(house)
        message = zendesk("status_changed", "SOLVED")
        body = json.dumps(message).encode()
        for bad in (
            unsigned,
            lambda h, b: by_zendesk(h, b, "another secret"),
            lambda h, b: by_zendesk(h, b + b" "),
            lambda h, b: by_zendesk(h, b, minutes=-6),
            lambda h, b: by_zendesk(h, b, minutes=6),
            lambda h, b: {**by_zendesk(h, b), "x-zendesk-webhook-signature-timestamp": "soon"},
            by_bearer,
        ):
            assert await say(house, body, bad) == 401
        assert await say(house, body, path="/v1/inbound/ticket/other") == 401
        assert (await only(house))["state"] != "resolved"
        assert await say(house, b"no json") == 422
        assert await say(house, b"[" * 100_000) == 422
        assert await say(house, {"type": "x"}) == 422
        assert await say(house, b"x" * 300_000) == 413


async def test_an_endpoint_without_an_inbound_secret_hears_nothing(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, _):
        await opened(house)
        assert await say(house, zendesk("status_changed", "SOLVED"), lambda h, b: by_zendesk(h, b, "")) == 401


async def test_a_repeated_event_does_not_do_again_what_was_undone(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, _):
        incident = await opened(house)
        await say(house, zendesk("status_changed", "SOLVED"))
        await act(house, incident, "reopen")
        await say(house, zendesk("status_changed", "SOLVED"))
        assert (await only(house))["state"] != "resolved"


async def test_what_we_did_ourselves_is_no_news(make_house: MakeHouse) -> None:
    """Nothing that our own messages bring about in the ticket comes back as somebody's deed, and nothing goes in circles."""
    values = {"recipe": "zendesk", "values": {"own_user": "42"}}
    options = values | {
        "auth": {"kind": "bearer", "token_env": "FIREBREAK_OUTLET_TEST"},
    }
    async with desk(make_house, "zendesk", inbound_secret=INBOUND, options=options) as (house, system):
        incident = await opened(house)
        assert await say(house, zendesk("status_changed", "SOLVED", "E1", actor="42")) == 204
        assert (await only(house))["state"] != "resolved"
        await act(house, incident, "acknowledge")
        ours = system.got[-1].body["ticket"]["comment"]["body"]
        sent = len(system.got)
        for number, text in enumerate((ours, f"<div class='zd'><p>{ours}</p></div>", f"\n {ours}")):
            comment = {"body": text, "author": {"id": "5", "name": "Lee"}}
            await say(house, zendesk("comment_added", None, f"C{number}", comment=comment))
        assert (await only(house))["notes"] == []
        await say(house, zendesk("agent_assignment_changed", "77", "A1"))
        assert (await only(house))["acknowledged_by"] == "dana", "somebody has it already"
        assert len(system.got) == sent


async def test_an_answer_that_quotes_us_is_a_note(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, system):
        incident = await opened(house)
        await act(house, incident, "acknowledge")
        ours = system.got[-1].body["ticket"]["comment"]["body"]
        comment = {"body": f"Who is on it?\n> {ours}", "author": {"id": "5", "name": "Lee"}}
        await say(house, zendesk("comment_added", None, "C1", comment=comment))
        assert (await only(house))["notes"][0]["text"].startswith("Who is on it?")


async def test_the_closing_that_we_sent_does_not_resolve_what_was_reopened(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, system):
        incident = await opened(house)
        await act(house, incident, "resolve")
        system.answers["/api/v2/tickets/101.json"] = _refuses
        await act(house, incident, "reopen")
        await say(house, zendesk("status_changed", "SOLVED"))
        assert (await only(house))["state"] != "resolved"


async def _refuses(_got: Any, writer: Any) -> None:
    writer.write(b"HTTP/1.1 503 X\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


async def test_a_note_pages_nobody_and_makes_no_message(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, system):
        incident = await opened(house)
        sent, made = len(system.got), len(await house.deliveries())
        for number in range(30):
            comment = {"body": f"number {number}", "author": {"id": "5", "name": "Lee"}}
            await say(house, zendesk("comment_added", None, f"C{number}", comment=comment))
        notes = (await only(house))["notes"]
        assert [one["text"] for one in notes] == [f"number {number}" for number in range(10, 30)]
        assert (len(system.got), len(await house.deliveries())) == (sent, made)
        kinds = [one["kind"] for one in (await house.http.get(f"/v1/incidents/{incident}/explain")).json()["timeline"]]
        assert kinds.count("note") == 30, "its timeline has all of them"


async def test_a_key_of_ours_opens_no_door_to_an_incident_without_a_ticket_there(make_house: MakeHouse) -> None:
    """A system that was never told of an incident cannot resolve it by writing its key."""
    async with desk(make_house, "opsgenie") as (house, system):
        incident = await opened(house)
        await add(house, system, "opsgenie", name="late", inbound_secret=INBOUND)
        message = {"action": "Close", "alert": {"alias": f"firebreak-{incident}", "username": "x"}}
        assert await say(house, message, by_bearer, "/v1/inbound/ticket/late") == 204
        assert (await only(house))["state"] != "resolved"


async def test_an_endpoint_that_is_for_other_brands_by_now_changes_nothing(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, _):
        await opened(house)
        row = update(endpoints).where(endpoints.c.name == "crm").values(brands='["zenith"]')
        await house.alerter.database.write(lambda c: c.execute(row))
        assert await say(house, zendesk("status_changed", "SOLVED")) == 204
        assert (await only(house))["state"] != "resolved"
        assert (await only(house))["labels"] == []


def _key(system: Vendor) -> str:
    return next(iter(system.tickets))


BACK: Mapping[str, tuple[Callable[[House, bytes], dict[str, str]], Callable[[str], list[Any]]]] = {
    "freshdesk": (
        by_bearer,
        lambda _: [
            {"ticket_id": "101", "status": "Open", "agent": "Lee", "by": "Lee", "at": "1"},
            {"ticket_id": "101", "status": "Open", "note": "seen", "by": "Lee", "at": "2"},
            {"ticket_id": "101", "status": "Resolved", "by": "Lee", "at": "3"},
        ],
    ),
    "servicenow": (
        by_bearer,
        lambda key: [
            {"sys_id": "s101", "correlation_id": key, "state": "2", "assigned_to": "Lee", "by": "Lee", "at": "1"},
            {"sys_id": "s101", "correlation_id": key, "state": "2", "work_note": "seen", "by": "Lee", "at": "2"},
            {"sys_id": "s101", "correlation_id": key, "state": "6", "by": "Lee", "at": "3"},
        ],
    ),
    "salesforce-case": (
        by_bearer,
        lambda key: [
            {"key": key, "is_closed": False, "owner": "Lee", "by": "005", "at": "1"},
            {"key": key, "is_closed": False, "comment": "seen", "owner": "Lee", "by": "005", "at": "2"},
            {"key": key, "is_closed": True, "owner": "Lee", "by": "005", "at": "3"},
        ],
    ),
    "jira-service-management": (
        by_jira,
        lambda _: [
            {
                "webhookEvent": "jira:issue_updated",
                "issue": {"id": "101", "fields": {"status": {"statusCategory": {"key": "new"}}}},
                "user": {"displayName": "Lee", "accountId": "a1"},
                "changelog": {"items": [{"field": "priority", "to": "1"}, {"field": "assignee", "to": "a1"}]},
            },
            {
                "webhookEvent": "comment_created",
                "issue": {"id": "101"},
                "comment": {"body": "seen", "author": {"accountId": "a1", "displayName": "Lee"}},
            },
            {
                "webhookEvent": "jira:issue_updated",
                "issue": {"id": "101", "fields": {"status": {"statusCategory": {"key": "done"}}}},
                "user": {"displayName": "Lee", "accountId": "a1"},
                "changelog": {"items": [{"field": "status", "to": "5"}]},
            },
        ],
    ),
    "opsgenie": (
        by_bearer,
        lambda key: [
            {"action": "Acknowledge", "alert": {"alias": key, "username": "Lee"}},
            {"action": "AddNote", "alert": {"alias": key, "username": "Lee", "note": "seen"}},
            {"action": "Close", "alert": {"alias": key, "username": "Lee"}},
        ],
    ),
    "grafana-irm": (
        by_bearer,
        lambda key: [
            {"key": key, "event": "acknowledge", "person": "Lee", "at": "1"},
            {"key": key, "event": "resolve", "person": "Lee", "at": "2"},
        ],
    ),
    "chatwoot": (
        by_chatwoot,
        lambda key: [
            {
                "event": "conversation_updated",
                "id": 101,
                "custom_attributes": {"firebreak_key": key},
                "meta": {"assignee": {"id": 4, "name": "Lee"}},
            },
            {"event": "conversation_status_changed", "id": 101, "status": "resolved", "meta": {}},
        ],
    ),
}


@ON_SQLITE
@pytest.mark.parametrize("name", sorted(BACK))
async def test_each_system_is_heard_as_its_recipe_says(make_house: MakeHouse, name: str) -> None:
    async with desk(make_house, name, inbound_secret=INBOUND) as (house, system):
        await opened(house)
        sign, messages = BACK[name]
        said = messages(_key(system))
        assert await say(house, said[0], sign) == 204
        assert (await only(house))["acknowledged_by"] == "Lee (crm)"
        for message in said[1:-1]:
            assert await say(house, message, sign) == 204
            assert (await only(house))["notes"][0]["text"] == "seen"
        assert await say(house, said[-1], sign) == 204
        assert (await only(house))["state"] == "resolved"
        assert len(system.opened) == 1


async def test_an_agents_words_in_a_conversation_are_a_note(make_house: MakeHouse) -> None:
    async with desk(make_house, "genesys-open-messaging", inbound_secret=INBOUND) as (house, system):
        await opened(house)
        channel = {"to": {"id": _key(system)}, "from": {"nickname": "Lee", "id": "int-1"}}
        message = {"id": "m1", "channel": channel, "type": "Text", "text": "on it", "originatingEntity": "Human"}
        assert await say(house, message, by_genesys) == 204
        bot = message | {"id": "m2", "originatingEntity": "Bot", "text": "welcome"}
        assert await say(house, bot, by_genesys) == 204
        assert [one["text"] for one in (await only(house))["notes"]] == ["on it"]


async def test_a_system_whose_recipe_hears_nothing_gets_no_secret(house: House) -> None:
    body = {"name": "crm", "kind": "http", "url": "https://x.example", "options": {"recipe": "goalert"}}
    answer = await house.http.post("/v1/endpoints", json=body | {"inbound_secret": INBOUND})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["at"] == "body.inbound_secret"


# Notes and labels by hand


async def test_people_note_and_label_an_incident_also_after_its_end(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    incident = (await only(house))["id"]
    told = len(house.receiver.at("/desk"))
    await act(house, incident, "note", comment="the supplier confirms it")
    await act(house, incident, "note", comment="the supplier confirms it")
    await act(house, incident, "labels", add=["recall", "batch 7"])
    await act(house, incident, "labels", add=["recall"], remove=["batch 7", "none such"])
    assert len(house.receiver.at("/desk")) == told, "nobody is told of that alone"
    await act(house, incident, "resolve")
    await act(house, incident, "note", comment="for next time: call the plant first")
    shown = await only(house)
    assert [one["text"] for one in shown["notes"]] == [
        "the supplier confirms it",
        "for next time: call the plant first",
    ]
    assert shown["labels"] == ["recall"]
    last = house.receiver.at("/desk")[-1].body["data"]
    assert (last["labels"], [one["by"] for one in last["notes"]]) == (["recall"], ["dana"])


async def test_an_incident_has_so_many_labels_and_no_more(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    incident = (await only(house))["id"]
    await act(house, incident, "labels", add=[f"l{number}" for number in range(20)])
    await act(house, incident, "labels", add=["one more"])
    assert len((await only(house))["labels"]) == 20
    for body in ({"add": [""]}, {"add": ["x" * 65]}, {"add": ["a\nb"]}, {"add": ["x"] * 21}):
        answer = await house.http.post(f"/v1/incidents/{incident}/labels", json={"by": "dana", **body})
        assert answer.status_code == 422, body
    answer = await house.http.post(f"/v1/incidents/{incident}/note", json={"by": "dana", "comment": " "})
    assert answer.status_code == 422


async def test_a_message_with_many_long_notes_still_has_its_post(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    incident = (await only(house))["id"]
    for number in range(20):
        await act(house, incident, "note", comment=f"{number} " + "n" * 990)
    await act(house, incident, "acknowledge")
    got = house.receiver.at("/desk")
    assert len(got[-1].raw) < 20_000
    assert len(got[-1].body["data"]["notes"]) == 3
    assert got[-1].body["data"]["root"] == got[0].body["data"]["root"]


async def test_another_endpoint_of_the_same_system_has_a_secret_of_its_own(make_house: MakeHouse) -> None:
    async with desk(make_house, "opsgenie", inbound_secret=INBOUND) as (house, system):
        await add(house, system, "opsgenie", name="second", inbound_secret="another-secret-of-theirs")
        incident = await opened(house)
        message = {"action": "Close", "alert": {"alias": f"firebreak-{incident}", "username": "Lee"}}
        assert await say(house, message, by_bearer, "/v1/inbound/ticket/second") == 401
        assert await say(house, message, by_bearer) == 204
        assert (await only(house))["state"] == "resolved"


async def test_the_page_of_an_incident_shows_its_ticket_and_takes_notes_and_labels(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", public_url=None) as (house, system):
        incident = await opened(house)
        async with sign_in(house) as client:
            page = f"/console/incidents/{incident}"
            form = {"csrf": await csrf(client), "comment": "<b>call</b> the plant", "add": "recall, batch 7"}
            for deed in ("note", "labels"):
                answer = await client.post(f"{page}/{deed}", data=form)
                assert answer.status_code == 303, answer.text
            shown = (await client.get(page)).text
            assert f'href="{system.url("/agent/tickets/101")}"' in shown
            assert "&lt;b&gt;call&lt;/b&gt; the plant" in shown
            assert "batch 7" in shown
        assert (await only(house))["labels"] == ["batch 7", "recall"]
        assert (await only(house))["notes"][0]["by"] == "dana"


async def test_who_is_assigned_takes_it_once_however_often_the_system_repeats_that(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk", inbound_secret=INBOUND) as (house, _):
        incident = await opened(house)
        await say(house, zendesk("agent_assignment_changed", "77", "E1"))
        assert (await only(house))["acknowledged_by"] == "somebody (crm)"
        await house.pass_time(3600, step=600)
        assert (await only(house))["acknowledged_by"] is None, "it has expired"
        assert await say(house, zendesk("agent_assignment_changed", "77", "E2")) == 204
        assert (await only(house))["acknowledged_by"] is None, "nobody knows that they have it again"
        await act(house, incident, "acknowledge")
        assert (await only(house))["acknowledged_by"] == "dana"
