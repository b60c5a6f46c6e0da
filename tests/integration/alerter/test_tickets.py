"""Tickets in other systems: each recipe against a system that keeps what it was sent, and misbehaves at the worst moments."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import func, select, update

from alerter.notify.attempt import Result
from alerter.notify.outlet import OutboundMessage
from alerter.notify.tickets import rows
from alerter.notify.tickets.recipe import shipped_names
from alerter.store.database import engine_of
from alerter.store.tables import deliveries, tickets
from alerter.timekeeper.retention import Keep, purge
from services.contracts.incident import IncidentChanged
from tests.integration.alerter import receiver, vendor
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.vendor import DIALECTS, TOKEN, Fault, Vendor, says
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

ONE_STEP = [{"id": "default", "steps": [{"endpoints": ["all"]}]}]
SECRET = "a-secret-of-the-environment"
LOST: dict[str, Fault] = {
    "reset": vendor.taken_then_reset,
    "stall": vendor.taken_then_stalls,
    "502": vendor.taken_then(502),
    "408": vendor.taken_then(408),
    "303": vendor.taken_then(303),
    "cut off": vendor.taken_and_not_told,
}


ON_SQLITE = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
"""For what differs by recipe and not by database."""


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIREBREAK_OUTLET_TEST", SECRET)


@asynccontextmanager
async def desk(
    make_house: MakeHouse, name: str, public_url: str | None = "https://firebreak.example", **more: Any
) -> AsyncIterator[tuple[House, Vendor]]:
    """A running alerter, and a system of this name that it keeps tickets in."""
    house = make_house(make.config(policies=ONE_STEP), public_url=public_url)
    system = Vendor(dialect=DIALECTS[name])
    await system.start()
    try:
        async with house.running(wall=lambda: house.clock.now().timestamp()):
            await add(house, system, name, **more)
            house.alerter.outlets.sender.timeout_seconds = 0.5
            yield house, system
    finally:
        await system.stop()


async def add(house: House, system: Vendor, recipe: str, **more: Any) -> None:
    options: dict[str, Any] = {"recipe": recipe, "values": dict(system.dialect.values)}
    if system.dialect.auth:
        options["auth"] = dict(system.dialect.auth)
    body = {"name": "crm", "kind": "http", "url": system.url(""), "options": options, **more}
    answer = await house.http.post("/v1/endpoints", json=body)
    assert answer.status_code == 201, answer.text
    assert SECRET not in answer.text


async def opened(house: House) -> str:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    return str(incident["id"])


def only_about(system: Vendor, incident: str) -> bool:
    """Whether exactly one ticket was opened, and about this. Some have room for a part of the key only."""
    return [one[:32] for one in system.opened] == [f"firebreak-{incident}"[:32]]


async def act(house: House, incident: str, deed: str, **more: Any) -> None:
    answer = await house.http.post(f"/v1/incidents/{incident}/{deed}", json={"by": "dana", **more})
    assert answer.status_code == 200, answer.text
    await house.settle()


def test_every_shipped_recipe_is_played() -> None:
    assert set(shipped_names()) == set(DIALECTS)


@ON_SQLITE
@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_one_ticket_is_opened_changed_and_closed(make_house: MakeHouse, name: str) -> None:
    async with desk(make_house, name) as (house, system):
        incident = await opened(house)
        assert only_about(system, incident)
        shown = (await house.incidents())[0]["external_ids"]
        assert [one["endpoint"] for one in shown] == ["crm"]
        await act(house, incident, "acknowledge")
        before = len(system.got)
        assert before > 1 or name == "grafana-irm"
        await act(house, incident, "resolve", comment="the batch is back")
        assert len(system.got) > before
        assert len(system.opened) == 1
        assert len(system.closed) == 1 or name == "genesys-open-messaging"
        assert {one["state"] for one in await house.deliveries()} == {"delivered"}


@ON_SQLITE
@pytest.mark.parametrize("name", sorted(DIALECTS))
async def test_an_answer_that_is_lost_opens_no_second_ticket(make_house: MakeHouse, name: str) -> None:
    """The system took the request, and we do not know."""
    await loses(make_house, name, vendor.taken_then_reset)


@pytest.mark.parametrize("fault", sorted(LOST))
async def test_however_an_answer_is_lost_there_is_one_ticket(make_house: MakeHouse, fault: str) -> None:
    await loses(make_house, "servicenow", LOST[fault])


async def loses(make_house: MakeHouse, name: str, fault: Fault) -> None:
    async with desk(make_house, name) as (house, system):
        system.faults.append(fault)
        incident = await opened(house)
        await house.pass_time(120, step=5)
        assert only_about(system, incident)
        assert [one["endpoint"] for one in (await house.incidents())[0]["external_ids"]] == ["crm"]
        await act(house, incident, "resolve")
        await house.pass_time(60, step=5)
        assert len(system.opened) == 1
        assert len(system.closed) == 1 or name == "genesys-open-messaging"


@ON_SQLITE
@pytest.mark.parametrize("name", ["goalert", "jira-service-management", "zendesk"])
async def test_a_system_that_is_busy_or_broken_is_tried_again(make_house: MakeHouse, name: str) -> None:
    async with desk(make_house, name) as (house, system):
        system.faults.extend([says(429, "retry-after: 30"), says(503), says(500)])
        incident = await opened(house)
        (delivery,) = await house.deliveries()
        await house.pass_time(20, step=1)
        assert len((await house.deliveries())[0]["attempts"]) == 1, "it asked for 30 seconds"
        await house.pass_time(120, step=1)
        assert only_about(system, incident)
        (delivery,) = await house.deliveries()
        assert delivery["state"] == "delivered"
        assert [one["status"] for one in delivery["attempts"] if one["status"]][:3] == [429, 503, 500]


async def test_a_refusal_is_known_to_have_opened_nothing(make_house: MakeHouse) -> None:
    """A 429 or a 400 needs no search; a 500 does."""
    async with desk(make_house, "zendesk") as (house, system):
        system.faults.extend([says(429), says(400), says(500)])
        await opened(house)
        await house.pass_time(60, step=1)
        assert [system.what(one) for one in system.got] == ["make", "make", "make", "find", "make"]


async def test_a_change_never_overtakes_the_opening(make_house: MakeHouse) -> None:
    """The opening hangs while people go on: what they do waits, and is told as one change."""
    async with desk(make_house, "servicenow") as (house, system):
        house.alerter.outlets.sender.timeout_seconds = 1.0
        system.faults.append(vendor.taken_then_stalls)
        await house.signal(make.forecast())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not system.opened:
                await asyncio.sleep(0.005)
        (incident,) = await house.incidents()
        for deed in ("acknowledge", "resolve"):
            await house.http.post(f"/v1/incidents/{incident['id']}/{deed}", json={"by": "dana"})
        assert [system.what(one) for one in system.got] == ["make"]
        await house.settle()
        await house.pass_time(60, step=5)
        assert len(system.opened) == 1
        assert [system.what(one) for one in system.got] == ["make", "find", "other"]
        assert len(system.closed) == 1


async def test_a_ticket_that_no_search_can_find_yet_is_not_opened_again(make_house: MakeHouse) -> None:
    async with desk(make_house, "jira-service-management") as (house, system):
        system.faults.append(vendor.taken_then(502))
        system.hidden = 1
        await opened(house)
        await house.pass_time(120, step=1)
        assert len(system.opened) == 1


async def test_an_attempt_that_breaks_opens_no_second_ticket(
    make_house: MakeHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is recorded of the ticket, as when the process dies: the next attempt looks first."""
    async with desk(make_house, "zendesk") as (house, system):
        real = house.alerter.outlets.deliver

        async def breaks(message: OutboundMessage) -> Result:
            await real(message)
            raise RuntimeError("after the system took it")

        monkeypatch.setattr(house.alerter.outlets, "deliver", breaks)
        await opened(house)
        monkeypatch.setattr(house.alerter.outlets, "deliver", real)
        await house.pass_time(5, step=1)
        assert [system.what(one) for one in system.got] == ["make", "find", "other"]
        assert len(system.opened) == 1
        assert (await house.incidents())[0]["external_ids"][0]["id"] == "101"


async def test_what_was_granted_without_an_id_is_never_asked_for_again(make_house: MakeHouse) -> None:
    """A wrong path in a recipe must not open a ticket with each retry."""
    async with desk(make_house, "zendesk") as (house, system):
        system.faults.append(vendor.taken_and_not_told)
        system.hidden = 100
        await opened(house)
        await house.pass_time(600, step=10)
        assert len(system.opened) == 1
        assert (await house.deliveries())[0]["state"] == "pending"


async def test_an_incident_that_was_over_before_there_was_a_ticket_opens_none(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        system.faults.extend([says(429)] * 3)
        incident = await opened(house)
        await act(house, incident, "resolve")
        await house.pass_time(120, step=5)
        assert system.opened == []
        assert sorted(one["state"] for one in await house.deliveries()) == ["delivered", "superseded"]


async def test_a_reopened_incident_reopens_its_ticket(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        incident = await opened(house)
        await act(house, incident, "resolve")
        await act(house, incident, "reopen")
        assert [one.body["ticket"].get("status") for one in system.got if one.raw] == [None, "solved", "open"]
        assert len(system.opened) == 1


async def test_a_ticket_that_was_deleted_does_not_disable_the_endpoint(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        incident = await opened(house)
        system.answers["/api/v2/tickets/101.json"] = receiver.status(410)
        await act(house, incident, "acknowledge")
        assert (await house.http.get("/v1/endpoints/crm")).json()["state"] == "enabled"


async def test_two_systems_have_a_ticket_each(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        other = Vendor(dialect=DIALECTS["opsgenie"])
        await other.start()
        try:
            await add(house, other, "opsgenie", name="pager")
            incident = await opened(house)
            assert only_about(system, incident)
            assert only_about(other, incident)
            ids = [(one["endpoint"], one["id"]) for one in (await house.incidents())[0]["external_ids"]]
            assert ids == [("crm", "101"), ("pager", f"firebreak-{incident}")]
        finally:
            await other.stop()


HOSTILE = '"}}, "admin": true, {{ 7*7 }} {% raw %} \\u0022 </script> \n\r\x1b ../../ %0d%0aX-Evil: 1'


async def test_no_text_breaks_out_of_where_it_stands(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        incident = await opened(house)
        await act(house, incident, "acknowledge", comment=HOSTILE)
        last = system.got[-1]
        assert set(last.body) == {"ticket"}
        assert set(last.body["ticket"]) == {"comment", "status"}
        assert "{{ 7*7 }}" in last.body["ticket"]["comment"]["body"]
        assert "x-evil" not in last.headers


async def test_the_ticket_is_on_the_page_in_the_log_and_in_the_next_webhook(make_house: MakeHouse) -> None:
    async with desk(make_house, "jira-service-management") as (house, system):
        await house.receiver.start()
        await house.endpoint("ours")
        incident = await opened(house)
        await act(house, incident, "acknowledge")
        ticket = {"endpoint": "crm", "id": "ITSM-101", "url": system.url("/browse/ITSM-101")}
        assert house.receiver.at("/ours")[-1].body["data"]["external_ids"] == [ticket]
        (shown,) = await house.incidents()
        assert shown["external_ids"] == [ticket]
        explained = await house.http.get(f"/v1/incidents/{incident}/explain")
        assert explained.json()["incident"]["external_ids"] == [ticket]
        said = [one.event for one in await house.on_log() if isinstance(one.event, IncidentChanged)]
        assert [one.id for one in said[-1].incident.external_ids] == ["ITSM-101"]


# How we prove who we are


async def test_basic_proof_comes_from_the_environment(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        await opened(house)
        said = base64.b64decode(system.got[0].headers["authorization"].removeprefix("Basic ")).decode()
        assert said == f"me@example.com/token:{SECRET}"


def with_client(system: Vendor, **more: Any) -> dict[str, Any]:
    auth = {"kind": "oauth2", "token_url": system.url(TOKEN), "client_id": "firebreak", **more}
    return {"recipe": "zendesk", "auth": auth | {"client_secret_env": "FIREBREAK_OUTLET_TEST"}}


@asynccontextmanager
async def with_oauth(make_house: MakeHouse, **more: Any) -> AsyncIterator[tuple[House, Vendor]]:
    house, system = make_house(make.config(policies=ONE_STEP)), Vendor(dialect=DIALECTS["zendesk"])
    await system.start()
    try:
        async with house.running():
            await add(house, system, "zendesk", options=with_client(system, **more))
            yield house, system
    finally:
        await system.stop()


@pytest.mark.parametrize("sends", ["basic", "body"])
async def test_a_token_is_fetched_once_and_used_until_its_end(make_house: MakeHouse, sends: str) -> None:
    async with with_oauth(make_house, sends=sends, scope="tickets:write") as (house, system):
        incident = await opened(house)
        await act(house, incident, "resolve")
        assert system.tokens == 1
        (asked,) = [one for one in system.got if one.path == TOKEN]
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        assert b"grant_type=client_credentials&scope=tickets%3Awrite" in asked.raw
        assert (b"client_secret=" in asked.raw) == (sends == "body")
        used = {one.headers["authorization"] for one in system.got if one.path != TOKEN}
        assert used == {"Bearer token-1-of-the-vendor"}


async def test_a_token_that_is_not_accepted_is_fetched_anew(make_house: MakeHouse) -> None:
    async with with_oauth(make_house) as (house, system):
        system.faults.append(says(401))
        await opened(house)
        assert system.tokens == 2
        assert len(system.opened) == 1
        assert [len(one["attempts"]) for one in await house.deliveries()] == [1]


async def test_a_token_endpoint_that_refuses_says_no_secret(make_house: MakeHouse) -> None:
    async with with_oauth(make_house) as (house, system):
        echo = json.dumps({"error": "invalid_client", "you_sent": SECRET}).encode()
        system.answers[TOKEN] = receiver.status(400, body=echo)
        await opened(house)
        (delivery,) = await house.deliveries()
        assert delivery["attempts"][0]["detail"] == "the token endpoint answered 400"
        assert system.opened == []


async def test_no_record_repeats_a_secret_that_a_system_repeats(make_house: MakeHouse, caplog: Any) -> None:
    async with desk(make_house, "zendesk") as (house, system):

        async def echo(got: Any, writer: Any) -> None:
            told = f"not allowed: {SECRET} {got.headers['authorization']}".encode()
            await receiver.status(403, body=told)(got, writer)

        system.answers["/api/v2/tickets.json"] = echo
        await opened(house)
        shown = json.dumps(await house.deliveries()) + (await house.http.get("/v1/endpoints")).text + caplog.text
        assert "not allowed" in shown
        assert SECRET not in shown
        assert system.got[0].headers["authorization"].split()[1] not in shown


async def test_a_token_url_is_guarded_like_every_other(make_house: MakeHouse) -> None:
    house = make_house(make.config(policies=ONE_STEP))
    async with house.running():
        for url, allowed in (("http://10.0.0.1/token", False), ("http://169.254.169.254/", False)):
            auth = {"kind": "oauth2", "token_url": url, "client_id": "x", "client_secret_env": "FIREBREAK_OUTLET_TEST"}
            body = {"name": "crm", "kind": "http", "url": "https://x.example", "options": {"recipe": "goalert"}}
            body["options"] = {"recipe": "goalert", "auth": auth}
            answer = await house.http.post("/v1/endpoints", json=body)
            assert (answer.status_code == 201) is allowed
            assert answer.json()["errors"][0]["at"] == "body.options.auth.token_url"


BEARER = {"kind": "bearer", "token_env": "FIREBREAK_OUTLET_TEST"}
OWN = {
    "about": "my own",
    "id": "key",
    "create": {"path": "/t", "body": {"title": "{{ title }}"}},
}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({}, "give recipe"),
        ({"recipe": "nosuch"}, "there is no recipe nosuch"),
        ({"recipe": "../zendesk"}, "there is no recipe"),
        ({"recipe": "jira-service-management"}, "project is needed"),
        ({"recipe": "goalert", "values": {"x": "1"}}, "there is no value x"),
        ({"recipe": "goalert", "auth": {"kind": "bearer", "token_env": "FIREBREAK_ADMIN_KEY"}}, "pattern"),
        ({"recipe": "goalert", "auth": {"kind": "bearer", "token_env": "PATH"}}, "pattern"),
        ({"recipe": "goalert", "auth": {"kind": "bearer", "token_env": "FIREBREAK_OUTLET_UNSET"}}, "is not set"),
        ({"own_recipe": OWN | {"create": {"path": "t"}}}, "begins with /"),
        ({"own_recipe": OWN | {"create": {"path": "//evil.example/{{ title.__class__ }}"}}}, "private"),
        ({"own_recipe": OWN | {"create": {"path": "/t", "body": {"a": "{{ 9 ** 9 }}"}}}}, "may not say pow"),
        ({"own_recipe": OWN | {"create": {"path": "/t", "headers": {"Host": "x"}}}}, "set by us"),
        ({"own_recipe": OWN | {"id": "answer"}}, "ticket_id"),
        ({"own_recipe": OWN, "recipe": "goalert"}, "give recipe"),
        ({"own_recipe": OWN | {"about": "x" * 70_000}}, "64000 characters"),
        ({"own_recipe": OWN | {"inbound": {"verify": {"by": "bearer"}}}}, "says neither"),
    ],
)
async def test_a_setup_that_cannot_work_is_refused(house: House, options: dict[str, Any], why: str) -> None:
    body = {"name": "crm", "kind": "http", "url": "https://x.example", "options": options}
    answer = await house.http.post("/v1/endpoints", json=body)
    assert answer.status_code == 422, answer.text
    assert why in answer.text


async def test_a_recipe_of_ones_own_does_what_a_shipped_one_does(make_house: MakeHouse) -> None:
    own = {
        "about": "our own desk",
        "values": {"queue": {"about": "which queue"}},
        "create": {"path": "/q/{{ values.queue }}", "body": {"n": "{{ severity }}"}, "answer": {"ticket_id": "$.id"}},
        "find": {"path": "/find/{{ key }}", "answer": {"ticket_id": "$.id"}},
        "close": {"method": "PUT", "path": "/done/{{ ticket.ticket_id }}"},
    }
    house = make_house(make.config(policies=ONE_STEP))
    await house.receiver.start()
    house.receiver.answers["/q/a%2Fb"] = receiver.status(200, body=b'{"id": "x/../y"}')
    async with house.running():
        options = {"own_recipe": own, "values": {"queue": "a/b"}, "auth": BEARER}
        body = {"name": "crm", "kind": "http", "url": house.receiver.url("/base/"), "options": options}
        body["url"] = house.receiver.url("")
        assert (await house.http.post("/v1/endpoints", json=body)).status_code == 201
        incident = await opened(house)
        await act(house, incident, "resolve")
        assert [one.path for one in house.receiver.got] == ["/q/a%2Fb", "/done/x%2F..%2Fy"]
        assert isinstance(house.receiver.got[0].body["n"], int)


async def test_a_test_message_opens_no_ticket_where_the_system_can_be_asked(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, system):
        assert (await house.http.post("/v1/endpoints/crm/test")).status_code == 202
        await house.settle()
        assert [(one.method, one.path) for one in system.got] == [("GET", "/api/v2/users/me.json")]
        assert (await house.deliveries())[0]["state"] == "delivered"


async def test_an_endpoint_with_tickets_has_headers_and_hours_like_any_other(make_house: MakeHouse) -> None:
    night = {"windows": [{"begins": "02:00", "ends": "02:01"}], "zone": "UTC"}
    async with desk(make_house, "goalert", headers={"X-Tenant": "a-tenant-of-ours"}, hours=night) as (house, system):
        await opened(house)
        assert system.got == [], "it waits for the hours"
        answer = await house.http.patch("/v1/endpoints/crm", json={"hours": {}})
        assert answer.status_code == 200
        await house.settle()
        assert system.got[0].headers["x-tenant"] == "a-tenant-of-ours"
        assert len(system.opened) == 1


async def test_an_endpoint_with_its_own_authorization_needs_none_from_the_environment(make_house: MakeHouse) -> None:
    own: dict[str, Any] = {"options": {"recipe": "goalert"}, "auth": {"bearer": "kept-in-the-database"}}
    async with desk(make_house, "goalert", **own) as (house, system):
        await opened(house)
        assert system.got[0].headers["authorization"] == "Bearer kept-in-the-database"
        assert "kept-in-the-database" not in (await house.http.get("/v1/endpoints")).text


async def test_what_is_known_of_a_ticket_goes_with_its_incident(make_house: MakeHouse) -> None:
    async with desk(make_house, "zendesk") as (house, _):
        incident = await opened(house)
        await act(house, incident, "resolve")
        count = select(func.count()).select_from(tickets)
        assert await house.alerter.database.read(lambda c: c.scalar(count)) == 1
        keep = Keep(timedelta(days=30), timedelta(days=100))
        later = house.clock.now() + timedelta(days=101)
        await house.alerter.database.write(lambda c: purge(c, later, later, keep))
        assert await house.alerter.database.read(lambda c: c.scalar(count)) == 0
        assert await house.incidents() == []


@pytest.mark.parametrize("databases", ["postgresql"], indirect=True)
async def test_of_two_replicas_one_at_a_time_works_on_a_ticket(make_house: MakeHouse) -> None:
    """One has claimed the opening and not committed yet; the other has a change of the same ticket in hand."""
    async with desk(make_house, "zendesk") as (house, _):
        incident = await opened(house)
        opening, change = (SimpleNamespace(endpoint="crm", incident=incident, id=f"msg_{n}") for n in "ab")
        known = {"crm": SimpleNamespace(kind="http")}
        engine = engine_of(str(house.settings.database))
        try:
            with engine.connect() as one, engine.connect() as other:
                assert rows.in_turn(one, [opening], known, (), make.NOW) == [opening]
                assert rows.in_turn(other, [change], known, (), make.NOW) == []
                other.rollback()
                one.commit()
                assert rows.in_turn(other, [change], known, (), make.NOW) == [change]
                other.rollback()
                leased = update(deliveries).values(lease_owner="one", lease_ends_wall=make.NOW)
                one.execute(leased)
                one.commit()
                assert rows.in_turn(other, [change], known, (), make.NOW) == []
        finally:
            engine.dispose()
