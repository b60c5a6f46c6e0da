"""What comes back from PagerDuty: what a person did there, once, and not what we or its own rules did."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

SECRET = "what-pagerduty-signs-with"
PATH = "/v1/inbound/pagerduty/on-call"
PEOPLE = [
    {"id": "dana", "name": "Dana Scully", "methods": ["on-call"], "known_as": ["pagerduty:PLH1HKV"]},
    {"id": "lee", "name": "Lee Park", "methods": ["lee-push"], "known_as": ["pagerduty:PTUXL6G"]},
]
STEPS = [{"id": "default", "steps": [{"endpoints": ["on-call", "lee-push"]}]}]
PERSON = {"id": "PLH1HKV", "type": "user_reference", "summary": "D. Scully"}


@pytest.fixture
async def house(make_house: MakeHouse) -> AsyncIterator[House]:
    made = make_house(make.config(responders=PEOPLE, policies=STEPS))
    await made.receiver.start()
    async with made.running():
        body = {"name": "on-call", "kind": "pagerduty", "url": made.receiver.url("/on-call"), "key": "k" * 32}
        answer = await made.http.post("/v1/endpoints", json=body | {"inbound_secret": SECRET})
        assert answer.status_code == 201, answer.text
        await made.endpoint("lee-push")
        await made.signal(make.forecast())
        await made.settle()
        yield made


async def sent(house: House, kind: str, event: str = "E1", headers: Any = None, **more: Any) -> Any:
    (incident,) = await house.incidents()
    data = {
        "id": "PGR0VU2",
        "type": "incident",
        "incident_key": f"firebreak-{incident['id']}",
        "status": "acknowledged",
    }
    fields: dict[str, Any] = {
        "id": event,
        "event_type": f"incident.{kind}",
        "resource_type": "incident",
        "agent": PERSON,
    }
    fields |= {"occurred_at": datetime.now(UTC).isoformat(), "client": None}
    assignees, path = more.pop("assignees", None), more.pop("path", PATH)
    body = json.dumps({"event": fields | more | {"data": data | {"assignees": assignees}}}).encode()
    own = {"x-pagerduty-signature": f"v1={'0' * 64},{made(body)}"}
    house.http.headers.pop("authorization")
    answer = await house.http.post(path, content=body, headers=own if headers is None else headers(body))
    house.http.headers["authorization"] = f"Bearer {KEY}"
    await house.settle()
    return answer


def made(body: bytes, secret: str = SECRET) -> str:
    return "v1=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def test_a_user_who_is_known_acts_in_the_name_of_the_responder(house: House) -> None:
    assert (await sent(house, "acknowledged")).status_code == 204
    assert (await house.incidents())[0]["acknowledged_by"] == "Dana Scully (PagerDuty)"


@pytest.mark.parametrize(
    "agent",
    [
        None,
        {"id": "PF9KMXH", "type": "inbound_integration_reference", "summary": "Firebreak"},
        {"id": "P1", "type": "service_reference", "summary": "Complaints"},
    ],
)
@pytest.mark.parametrize("kind", ["acknowledged", "resolved"])
async def test_our_own_echo_and_what_its_rules_do_is_no_deed_of_a_person(house: House, agent: Any, kind: str) -> None:
    answer = await sent(house, kind, agent=agent)
    assert (answer.status_code, answer.json()["done"]) == (200, False)
    (incident,) = await house.incidents()
    assert (incident["acknowledged_by"], incident["state"]) == (None, "prior")


async def test_handing_over_there_asks_the_same_person_here(house: House) -> None:
    lee = [
        {"id": "PX", "type": "escalation_policy_reference"},
        {"id": "PTUXL6G", "type": "user_reference", "summary": "L"},
    ]
    assert (await sent(house, "reassigned", assignees=lee)).status_code == 204
    (incident,) = await house.incidents()
    assert incident["assigned_to"] == "Lee Park"
    strange = [{"id": "PQ", "type": "user_reference", "summary": "Fox Mulder"}]
    answer = await sent(house, "reassigned", "E2", assignees=strange)
    assert answer.status_code == 200
    assert "nobody called Fox Mulder" in answer.json()["because"]
    assert (await sent(house, "reassigned", "E3", assignees=[])).status_code == 200
    assert (await house.incidents())[0]["assigned_to"] == "Lee Park"


async def test_one_of_several_signatures_is_enough_and_none_is_not(house: House) -> None:
    for headers in (
        lambda _: {},
        lambda body: {"x-pagerduty-signature": made(body, "an older secret of theirs")},
        lambda body: {"x-pagerduty-signature": made(body).removeprefix("v1=")},
        lambda body: {"x-pagerduty-signature": ",".join(["v1=00"] * 16 + [made(body)])},
    ):
        assert (await sent(house, "acknowledged", headers=headers)).status_code == 401
    assert (await house.incidents())[0]["acknowledged_by"] is None
    assert (await sent(house, "acknowledged")).status_code == 204


async def test_an_event_that_is_sent_again_or_that_is_old_changes_nothing(house: House) -> None:
    old = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    answer = await sent(house, "acknowledged", occurred_at=old)
    assert "more than 7 days old" in answer.json()["because"]
    assert (await house.incidents())[0]["acknowledged_by"] is None
    assert (await sent(house, "acknowledged", "E2")).status_code == 204
    again = await sent(house, "acknowledged", "E2")
    assert again.json()["because"].startswith("That was heard already: you have it until ")
    assert (await sent(house, "resolved", "E3")).status_code == 204
    over = await sent(house, "acknowledged", "E4")
    assert over.json()["because"].startswith("Nothing to do any more: it is over since ")
    assert (await sent(house, "annotated", "E5")).status_code == 204, "what is none of ours"


async def test_an_endpoint_for_other_brands_acts_on_none_of_ours(house: House) -> None:
    """Whoever set it up may be outside the house, and chose its secret."""
    body = {"name": "others", "kind": "pagerduty", "url": house.receiver.url("/others"), "key": "k" * 32}
    limits = {"inbound_secret": SECRET, "brands": ["other"]}
    assert (await house.http.post("/v1/endpoints", json=body | limits)).status_code == 201
    for kind in ("acknowledged", "resolved", "reassigned"):
        answer = await sent(house, kind, kind, path="/v1/inbound/pagerduty/others", assignees=[PERSON])
        assert answer.json()["because"] == "There is no such incident any more."
    (incident,) = await house.incidents()
    assert (incident["acknowledged_by"], incident["state"], incident["assigned_to"]) == (None, "prior", None)


async def test_a_time_that_is_none_is_refused_in_words(house: House) -> None:
    assert (await sent(house, "acknowledged", occurred_at="yesterday")).status_code == 422
