"""People confirm the methods by which they are reached, and switch them off; nobody falls silent by that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from alerter.escalation import dry_run
from alerter.store.tables import metadata
from services.config.model import Config
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import Got, status
from tests.integration.alerter.test_console import csrf, sign_in
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make

DANA: dict[str, Any] = {"id": "dana", "name": "Dana Ito", "methods": ["dana-push", "dana-sms", "shared"]}
LEE: dict[str, Any] = {"id": "lee", "name": "Lee Park", "methods": ["lee-push", "shared"]}
METHODS = ("dana-push", "dana-sms", "lee-push", "shared", "lead")
POLICY = {
    "id": "default",
    "steps": [{"targets": ["responder:dana"]}],
    "fallback": ["lead"],
    "insist_minutes": "never",
}


@asynccontextmanager
async def running(make_house: MakeHouse, *missing: str, **more: Any) -> Any:
    settings = {"public_url": more.pop("public_url", "https://firebreak.example")}
    house = make_house(make.config(**{"responders": [DANA, LEE], "policies": [POLICY]} | more), **settings)
    await house.receiver.start()
    async with house.running():
        for name in METHODS:
            if name not in missing:
                await house.endpoint(name)
        yield house


async def ask(house: House, method: str, what: str, responder: str = "dana", **more: Any) -> httpx2.Response:
    headers = more.pop("headers", None)
    path = f"/v1/responders/{responder}/methods/{method}/{what}"
    answer = await house.http.post(path, json={"by": responder, **more}, headers=headers)
    await house.settle()
    return answer


async def methods_of(house: House, responder: str = "dana") -> Mapping[str, Any]:
    answer = await house.http.get(f"/v1/responders/{responder}/methods")
    assert answer.status_code == 200, answer.text
    return {one["method"]: one for one in answer.json()["items"]}


def code_at(house: House, method: str) -> str:
    messages = [one.body for one in house.receiver.at(f"/{method}") if one.type == "method.code"]
    return str(messages[-1]["data"]["code"])


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def confirmed(house: House, method: str, responder: str = "dana") -> None:
    assert (await ask(house, method, "code", responder)).status_code == 202
    assert (await ask(house, method, "confirm", responder, code=code_at(house, method))).status_code == 200


async def paged(house: House, story: str = "bsky:p1") -> list[str]:
    """Opens an incident, and returns by which endpoints people were paged."""
    before = {name: house.receiver.types(f"/{name}").count("incident.opened") for name in METHODS}
    await house.signal(make.forecast(story=story))
    await house.settle()
    return [name for name in METHODS if house.receiver.types(f"/{name}").count("incident.opened") > before[name]]


async def explained(house: House) -> str:
    (incident, *_) = await house.incidents()
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    return " | ".join(line["because"] for line in told["timeline"])


async def findings(house: House) -> list[tuple[str, bool]]:
    context = house.alerter.context()
    known = await house.alerter.database.read(lambda c: dry_run.read(c, context.now, context.config))
    return [(one.words, one.is_wrong) for one in dry_run.findings(context.config, known, context.now)]


async def test_a_method_of_the_file_counts_before_anybody_confirms_it_and_says_so(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        assert await paged(house) == ["dana-push"]
        push = (await methods_of(house))["dana-push"]
        assert (push["works"], push["counts"], push["confirmed_at"], push["off_at"]) == (True, True, None, None)
        assert "not confirmed" not in await explained(house)
        assert await findings(house) == []


async def test_a_code_that_came_there_confirms_the_method_once(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        assert (await ask(house, "dana-push", "confirm", code="000000")).status_code == 409, "none was sent"
        assert (await ask(house, "dana-push", "code")).status_code == 202
        code = code_at(house, "dana-push")
        assert re.fullmatch(r"\d{6}", code)
        assert (await ask(house, "dana-push", "confirm", code=other_than(code))).status_code == 409
        assert (await ask(house, "dana-sms", "confirm", code=code)).status_code == 409, "another method"
        assert (await methods_of(house))["dana-push"]["confirmed_at"] is None
        assert (await ask(house, "dana-push", "confirm", code=code)).status_code == 200
        push = (await methods_of(house))["dana-push"]
        assert (push["confirmed_how"], push["confirmed_at"]) == ("code", make.NOW.isoformat().replace("+00:00", "Z"))
        assert (await ask(house, "dana-push", "confirm", code=code)).status_code == 409, "a code is good for once"
        lines = [(one["what"], one["on"]) for one in (await house.http.get("/v1/audit")).json()["items"][:2]]
        assert lines == [("method.confirmed", "dana/dana-push"), ("method.code_sent", "dana/dana-push")]


@pytest.mark.parametrize("wait", [599, 600])
async def test_a_code_ends_after_ten_minutes(make_house: MakeHouse, wait: int) -> None:
    async with running(make_house) as house:
        await ask(house, "dana-push", "code")
        house.clock.advance(wait)
        answer = await ask(house, "dana-push", "confirm", code=code_at(house, "dana-push"))
        assert answer.status_code == (200 if wait < 600 else 409)


async def test_a_code_is_not_sent_when_it_is_too_late_to_enter_it(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        house.receiver.answers["/dana-push"] = status(500)
        await ask(house, "dana-push", "code")
        tried = len(house.receiver.at("/dana-push"))
        house.clock.advance(601)
        del house.receiver.answers["/dana-push"]
        await house.pass_time(4 * 3600, step=600)
        assert len(house.receiver.at("/dana-push")) == tried


async def test_a_page_that_reached_nobody_leaves_as_soon_as_a_method_is_on_again(make_house: MakeHouse) -> None:
    policy = {k: v for k, v in POLICY.items() if k != "fallback"}
    async with running(make_house, "shared", policies=[policy]) as house:
        await ask(house, "dana-push", "off")
        await house.http.delete("/v1/endpoints/dana-sms?even_if_named=true")
        assert await paged(house) == []
        await ask(house, "dana-push", "on")
        assert house.receiver.types("/dana-push") == ["incident.opened"]


async def test_a_new_code_ends_the_one_before(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await ask(house, "dana-push", "code")
        old = code_at(house, "dana-push")
        house.clock.advance(1)
        await ask(house, "dana-push", "code")
        new = code_at(house, "dana-push")
        assert old != new
        assert (await ask(house, "dana-push", "confirm", code=old)).status_code == 409
        assert (await ask(house, "dana-push", "confirm", code=new)).status_code == 200


async def test_there_are_five_tries_a_code_and_five_codes_an_hour(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await ask(house, "dana-push", "code")
        code = code_at(house, "dana-push")
        for _ in range(5):
            assert (await ask(house, "dana-push", "confirm", code=other_than(code))).status_code == 409
        assert (await ask(house, "dana-push", "confirm", code=code)).status_code == 409, "too many tries"
        for _ in range(4):
            house.clock.advance(1)
            assert (await ask(house, "dana-push", "code")).status_code == 202
        refused = await ask(house, "dana-push", "code")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "3600")
        assert house.receiver.types("/dana-push").count("method.code") == 5
        assert (await ask(house, "dana-sms", "code")).status_code == 202, "each method has its own"
        house.clock.advance(3600)
        assert (await ask(house, "dana-push", "code")).status_code == 202


async def test_the_code_stands_nowhere_at_rest_and_is_not_shown_to_those_who_read_deliveries(
    make_house: MakeHouse,
) -> None:
    async with running(make_house) as house:

        async def repeat(got: Got, writer: Any) -> None:
            said = got.raw
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(said) + said)
            await writer.drain()

        house.receiver.answers["/dana-push"] = repeat
        await ask(house, "dana-push", "code")
        code = code_at(house, "dana-push")
        for table in metadata.sorted_tables:
            rows = await house.alerter.database.read(lambda c, t=table: c.execute(t.select()).all())
            assert not re.search(rf"(?<!\d){code}(?!\d)", repr(rows)), table.name
        for delivery in await house.deliveries(endpoint="dana-push"):
            shown = await house.http.get(f"/v1/deliveries/{delivery['id']}")
            assert code not in shown.text


async def test_a_code_that_the_fallback_of_an_endpoint_got_confirms_nothing(make_house: MakeHouse) -> None:
    async with running(make_house, "dana-sms") as house:
        await house.endpoint("dana-sms", fallback="lead")
        house.receiver.answers["/dana-sms"] = status(500)
        await ask(house, "dana-sms", "code")
        await house.pass_time(120)
        other = code_at(house, "lead")
        assert (await ask(house, "dana-sms", "confirm", code=other)).status_code == 409


async def test_another_endpoint_of_the_same_name_is_confirmed_anew(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await confirmed(house, "dana-push")
        assert (await house.http.delete("/v1/endpoints/dana-push?even_if_named=true")).status_code == 204
        push = (await methods_of(house))["dana-push"]
        assert (push["works"], push["kind"], push["confirmed_at"]) == (False, None, None)
        assert (await ask(house, "dana-push", "code")).status_code == 409
        house.clock.advance(1)
        await house.endpoint("dana-push", "/elsewhere")
        assert (await methods_of(house))["dana-push"]["confirmed_at"] is None


async def test_an_endpoint_that_leads_elsewhere_is_confirmed_anew_by_everybody(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        for who in ("dana", "lee"):
            await confirmed(house, "shared", who)
        await confirmed(house, "dana-push")
        same = await house.http.patch("/v1/endpoints/shared", json={"description": "the team's channel"})
        assert (same.status_code, (await methods_of(house))["shared"]["confirmed_at"] is None) == (200, False)
        other = await house.http.patch("/v1/endpoints/shared", json={"url": house.receiver.url("/elsewhere")})
        assert other.status_code == 200, other.text
        for who in ("dana", "lee"):
            assert (await methods_of(house, who))["shared"]["confirmed_at"] is None
        assert (await methods_of(house))["dana-push"]["confirmed_at"] is not None


async def test_an_acknowledgement_by_the_link_that_came_there_confirms_the_method(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await paged(house)
        link = house.receiver.at("/dana-push")[-1].body["data"]["links"]["acknowledge"]
        await house.http.post(link.removeprefix("https://firebreak.example"), data={"by": "somebody"})
        assert (await methods_of(house))["dana-push"]["confirmed_how"] == "acknowledgement"
        assert (await methods_of(house))["dana-sms"]["confirmed_at"] is None


@pytest.mark.parametrize(("name", "whose"), [("Lee Park", "lee"), ("dana", "dana"), ("somebody", None), ("", None)])
async def test_a_shared_method_is_confirmed_by_whoever_says_their_name(
    make_house: MakeHouse, name: str, whose: str | None
) -> None:
    async with running(make_house, policies=[{"id": "default", "steps": [{"targets": ["shared"]}]}]) as house:
        await paged(house)
        link = house.receiver.at("/shared")[-1].body["data"]["links"]["acknowledge"]
        await house.http.post(link.removeprefix("https://firebreak.example"), data={"by": name})
        found = [who for who in ("dana", "lee") if (await methods_of(house, who))["shared"]["confirmed_at"]]
        assert found == ([whose] if whose else [])


async def test_a_confirmed_test_page_of_a_drill_confirms_the_method(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await house.http.post("/v1/drills", json={"by": "ada"})
        await house.settle()
        link = house.receiver.at("/dana-push")[-1].body["data"]["links"]["confirm"]
        await house.http.post(link.removeprefix("https://firebreak.example"), data={})
        assert (await methods_of(house))["dana-push"]["confirmed_how"] == "drill"


async def test_with_only_confirmed_methods_an_unconfirmed_one_does_not_count(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        await confirmed(house, "dana-sms")
        counts = {name: one["counts"] for name, one in (await methods_of(house)).items()}
        assert counts == {"dana-push": False, "dana-sms": True, "shared": False}
        assert await paged(house) == ["dana-sms"]
        said = await findings(house)
        assert ("no page comes to dana by dana-push, shared: not confirmed yet", False) in said


async def test_whether_only_confirmed_methods_count_changes_with_the_reload(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        await confirmed(house, "dana-sms")
        assert await paged(house) == ["dana-push"]
        config = house.config.model_dump(exclude_defaults=True)
        await house.reconfigure(Config.model_validate(config | {"only_confirmed_methods": True}))
        assert await paged(house, "bsky:p2") == ["dana-sms"]


async def test_somebody_who_confirmed_none_is_paged_all_the_same_and_it_is_said_loudly(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        assert await paged(house) == ["dana-push"]
        assert "told Dana Ito by dana-push (which they have not confirmed)" in await explained(house)
        words = [words for words, is_wrong in await findings(house) if is_wrong]
        used = "used although nobody confirmed that. Confirm one on the page of"
        assert words == [
            f"dana has no confirmed method: dana-push, dana-sms, shared are {used} Dana Ito",
            f"lee has no confirmed method: lee-push, shared are {used} Lee Park",
        ]


async def test_when_the_confirmed_method_is_gone_the_others_are_used(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        await confirmed(house, "dana-sms")
        await house.http.delete("/v1/endpoints/dana-sms?even_if_named=true")
        assert await paged(house) == ["dana-push"]


async def test_a_method_that_is_switched_off_is_not_used_until_it_is_on_again(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        off = await ask(house, "dana-push", "off")
        assert off.status_code == 200
        push = (await methods_of(house))["dana-push"]
        assert (push["counts"], push["off_by"]) == (False, "dana")
        assert await paged(house) == ["dana-sms"]
        assert (await ask(house, "dana-push", "on")).status_code == 200
        assert await paged(house, "bsky:p2") == ["dana-push"]
        lines = [
            (one["what"], one["on"], one["detail"]) for one in (await house.http.get("/v1/audit")).json()["items"][:2]
        ]
        assert lines == [
            ("method.switched_on", "dana/dana-push", {"by": "dana"}),
            ("method.switched_off", "dana/dana-push", {"by": "dana"}),
        ]


async def test_what_is_switched_off_in_the_middle_rings_no_more(make_house: MakeHouse) -> None:
    rules = [
        {"method": "dana-push"},
        {"after_minutes": 3, "method": "dana-sms"},
        {"after_minutes": 6, "method": "shared"},
    ]
    dana = {**DANA, "notify": {"urgent": rules, "calm": rules}}
    async with running(make_house, responders=[dana, LEE]) as house:
        await paged(house)
        await ask(house, "dana-sms", "off")
        await house.pass_time(600)
        assert house.receiver.types("/dana-sms") == []
        assert house.receiver.types("/shared") == ["incident.escalated"], "the next one comes in its place"


async def test_a_page_that_fails_is_not_tried_by_a_method_that_is_off(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        house.receiver.answers["/dana-push"] = status(500)
        await house.signal(make.forecast())
        await house.settle()
        await ask(house, "dana-sms", "off")
        await house.pass_time(120)
        assert house.receiver.types("/dana-sms") == []
        assert "incident.escalated" in house.receiver.types("/shared")


async def test_the_last_method_that_works_stays_on(make_house: MakeHouse) -> None:
    async with running(make_house, "shared") as house:
        assert (await ask(house, "dana-push", "off")).status_code == 200
        refused = await ask(house, "dana-sms", "off")
        assert refused.status_code == 409
        assert "the last method by which pages reach Dana Ito" in refused.json()["detail"]
        assert (await ask(house, "shared", "off")).status_code == 200, "one that does not work reaches nobody"
        await house.http.delete("/v1/endpoints/dana-sms?even_if_named=true")
        assert (await ask(house, "dana-sms", "off")).status_code == 409, "then it is the last one that is on"


async def test_with_only_confirmed_methods_the_last_confirmed_one_stays_on(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        await confirmed(house, "dana-push")
        assert (await ask(house, "dana-push", "off")).status_code == 409
        await confirmed(house, "dana-sms")
        assert (await ask(house, "dana-push", "off")).status_code == 200


async def test_who_can_be_reached_by_nothing_that_is_on_goes_to_the_fallback_and_the_dry_run_says_so(
    make_house: MakeHouse,
) -> None:
    async with running(make_house, "shared", public_url=None) as house:
        await ask(house, "dana-push", "off")
        await house.http.delete("/v1/endpoints/dana-sms?even_if_named=true")
        assert await paged(house) == ["lead"]
        (words, *_) = [words for words, _ in await findings(house)]
        assert words.startswith(
            "step 1 of default reaches nobody: dana cannot be reached (dana-push is switched off, dana-sms does not exist"
        )
        async with sign_in(house) as client:
            page = (await client.get("/console/on-call")).text
        assert "cannot be reached: no method works" in page


async def test_a_test_message_is_sent_from_the_page_and_bounded(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        for _ in range(10):
            assert (await ask(house, "dana-push", "test")).status_code == 202
        assert (await ask(house, "dana-push", "test")).status_code == 429
        assert house.receiver.types("/dana-push") == ["endpoint.test"] * 10


async def test_only_the_person_or_an_administrator_changes_a_persons_methods(make_house: MakeHouse) -> None:
    async with running(make_house) as house:
        team = await make_key(house, "team", "respond")
        reader = await make_key(house, "reader", "read")
        bodies: dict[str, dict[str, Any]] = {"code": {}, "confirm": {"code": "123456"}, "test": {}, "off": {}, "on": {}}
        for what, body in bodies.items():
            assert (await ask(house, "dana-push", what, headers=team, **body, by="lee")).status_code == 403
            assert (await ask(house, "dana-push", what, headers=reader, **body)).status_code == 403
            assert (await ask(house, "lee-push", what, **body)).status_code == 404, "not a method of hers"
        assert (await ask(house, "dana-push", "code", headers=team, by="Dana Ito (team)")).status_code == 202
        assert (await ask(house, "dana-push", "code", by="ada")).status_code == 202
        limited = await make_key(house, "centre", "admin", "acme")
        assert (await house.http.get("/v1/responders/dana/methods", headers=limited)).status_code == 404


@pytest.mark.parametrize(
    "code", ["12345", "1234567", "12345a", "\uff11\uff12\uff13\uff14\uff15\uff16", "", "-12345", " 12345"]
)
async def test_what_is_no_code_is_refused_and_costs_no_try(make_house: MakeHouse, code: str) -> None:
    async with running(make_house) as house:
        await ask(house, "dana-push", "code")
        for _ in range(6):
            assert (await ask(house, "dana-push", "confirm", code=code)).status_code == 422
        assert (await ask(house, "dana-push", "confirm", code=code_at(house, "dana-push"))).status_code == 200


async def test_the_persons_page_confirms_tests_and_switches(make_house: MakeHouse) -> None:
    async with running(make_house, public_url=None) as house, sign_in(house, person="dana") as client:
        assert (await client.get("/console/me")).headers["location"] == "/console/people/dana"
        token = await csrf(client)

        async def press(what: str, **form: str) -> httpx2.Response:
            path = f"/console/people/dana/methods/dana-push/{what}"
            answer: httpx2.Response = await client.post(path, data={"csrf": token, **form})
            await house.settle()
            return answer

        page = (await client.get("/console/people/dana")).text
        assert page.count("Not confirmed yet") == 3
        assert (await press("code")).headers["location"] == "/console/people/dana?done=code_sent&sent=dana-push"
        code = code_at(house, "dana-push")
        assert (await press("confirm", code="12")).status_code == 422
        assert (await press("confirm", code=f"{code[:3]} {code[3:]}")).status_code == 303, "as people read it out"
        assert "by a code" in (await client.get("/console/people/dana")).text
        assert (await press("test")).status_code == 303
        assert (await press("off")).status_code == 303
        assert "switched off" in (await client.get("/console/people/dana")).text
        assert (await press("on")).status_code == 303
        assert (await press("explode")).status_code == 404
        assert (await client.post("/console/people/dana/methods/dana-push/off", data={"csrf": "x"})).status_code == 403
        assert (await client.get("/console/people/nobody")).status_code == 404


async def test_a_team_key_changes_only_the_methods_of_whoever_signed_in(make_house: MakeHouse) -> None:
    async with running(make_house, public_url=None) as house:
        team = (await make_key(house, "team", "respond"))["authorization"].removeprefix("Bearer ")
        async with sign_in(house, team, person="lee") as client:
            page = (await client.get("/console/people/dana")).text
            assert "Send a code" not in page
            assert "Only <bdi>Dana Ito</bdi> may change this" in page
            form = {"csrf": await csrf(client)}
            assert (await client.post("/console/people/dana/methods/dana-push/off", data=form)).status_code == 403
            assert (await client.post("/console/people/lee/methods/lee-push/off", data=form)).status_code == 303
        async with sign_in(house, team, person="nobody I know") as client:
            assert (await client.get("/console/me")).status_code == 404


async def test_when_the_confirmed_method_only_fails_the_others_are_tried_after_it(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        await confirmed(house, "dana-sms")
        house.receiver.answers["/dana-sms"] = status(500)
        assert await paged(house) == ["dana-sms"]
        await house.pass_time(120, step=5)
        told = [one for one in house.receiver.types("/dana-push") if one.startswith("incident.")]
        assert told[:1] == ["incident.escalated"], "a page must not end at a method that is broken"


async def test_a_hand_over_goes_to_a_confirmed_method(make_house: MakeHouse) -> None:
    async with running(make_house, only_confirmed_methods=True) as house:
        await confirmed(house, "shared", "lee")
        await paged(house)
        (incident,) = await house.incidents()
        answer = await house.http.post(f"/v1/incidents/{incident['id']}/reassign", json={"by": "dana", "to": "lee"})
        assert answer.status_code == 200, answer.text
        await house.settle()
        assert "incident.escalated" in house.receiver.types("/shared")
        assert "incident.escalated" not in house.receiver.types("/lee-push")
