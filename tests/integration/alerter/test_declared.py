"""People, schedules and policies that are declared at run time: the file comes first, nothing is half taken, and it lasts."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.config.current import Reload
from services.config.file import ConfigFile
from services.tools import doctor
from tests.integration.alerter.conftest import House, MakeDatabase, MakeHouse
from tests.integration.alerter.test_keys import make_key
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

LEE = {"id": "lee", "methods": ["lee-push"]}
DANA = {"id": "dana", "name": "Dana", "methods": ["dana-push", "dana-sms"]}
DAYS = {"id": "days", "rotation": "daily", "begins": "2026-02-01T09:00", "responders": ["lee", "dana"]}
LISBON = {"id": "lisbon", "zone": "Europe/Lisbon", "layers": [DAYS]}
NIGHT = {"id": "night", "steps": [{"targets": ["schedule:lisbon"]}], "fallback": ["desk"]}
FILE: dict[str, Any] = {
    "brands": [
        {"id": "acme", "name": "Acme", "accounts": [{"network": "bsky", "handle": "acme", "owner": "lee"}]},
        {"id": "other", "name": "Other"},
    ],
    "rules": [
        {"id": "own", "brands": ["acme"], "level": "likely", "policy": "night"},
        {"id": "others", "brands": ["other"], "level": "likely", "policy": "default"},
    ],
    "policies": [{"id": "default", "steps": [{"targets": ["desk"]}]}],
    "responders": [LEE],
    "at_run_time": {"policies": ["night"]},
}


def write(house: House, tmp_path: Path, **more: Any) -> Path:
    path = tmp_path / "firebreak.yaml"
    path.write_text(yaml.safe_dump({**FILE, **more}))
    house.file = ConfigFile(path, house.settings.data)
    return path


@pytest.fixture
async def filed(make_house: MakeHouse, tmp_path: Path) -> Any:
    house = make_house(public_url=None)
    write(house, tmp_path)
    await house.receiver.start()
    async with house.running():
        for name in ("desk", "lee-push", "dana-push", "dana-sms"):
            await house.endpoint(name)
        yield house


async def post(house: House, part: str, body: Any, status: int = 201, **query: str) -> Any:
    answer = await house.http.post(f"/v1/{part}", json=body, params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


async def everything(house: House) -> None:
    await post(house, "responders", DANA, by="Maria")
    await post(house, "schedules", LISBON)
    await post(house, "policies", NIGHT)


async def lines(house: House, what: str) -> list[Any]:
    return [one for one in (await house.http.get("/v1/audit")).json()["items"] if one["what"] == what]


# -- they count --------------------------------------------------------------------------------------------------------


async def test_what_is_declared_pages_the_person_who_is_on_call_by_it(filed: House) -> None:
    await everything(filed)
    await filed.signal(make.forecast(crossing=None))
    await filed.settle()
    assert [(got.path, got.type) for got in filed.receiver.got] == [("/lee-push", "incident.opened")]
    shown = (await filed.http.get("/v1/schedules/lisbon/shifts")).json()["shifts"]
    assert [one["responder"] for one in shown][:3] == ["lee", "dana", "lee"]
    dana = (await filed.http.get("/v1/responders/dana")).json()
    assert (dana["declared_in"], dana["version"], dana["changed_by"], dana["document"]) == ("here", 1, "Maria", DANA)
    assert datetime.fromisoformat(dana["changed_at"]) == NOW
    (made,) = await lines(filed, "responder.created")
    assert (made["actor"], made["on"], made["detail"]) == ("admin", "dana", {"by": "Maria", "version": 1})


async def test_a_policy_that_is_to_be_created_and_is_not_there_tells_everybody_rather_than_nobody(filed: House) -> None:
    (said,) = (await filed.http.get("/v1/config")).json()["findings"]
    assert "no policy night yet: every endpoint is told" in said
    await filed.signal(make.forecast(crossing=None))
    await filed.settle()
    assert {got.path for got in filed.receiver.got} == {"/desk", "/lee-push", "/dana-push", "/dana-sms"}
    await everything(filed)
    assert (await filed.http.get("/v1/config")).json()["findings"] == []


async def test_a_reload_takes_a_file_that_names_what_is_only_in_the_database(filed: House, tmp_path: Path) -> None:
    await post(filed, "policies", {"id": "later", "steps": [{"targets": ["dana-push"]}]})
    rules = [{"id": "own", "level": "likely", "policy": "later"}]
    write(filed, tmp_path, rules=rules)
    assert (await filed.http.post("/v1/config/reload")).status_code == 422, "a name that nothing announces is a mistake"
    write(filed, tmp_path, rules=rules, at_run_time={"policies": ["later"]})
    assert (await filed.http.post("/v1/config/reload")).json()["changed"]
    await filed.signal(make.forecast(crossing=None))
    await filed.settle()
    assert [got.path for got in filed.receiver.got] == ["/dana-push"]


async def test_it_is_still_there_after_a_restart(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    write(house, tmp_path)
    async with house.running():
        for name in ("desk", "lee-push", "dana-push", "dana-sms"):
            await house.endpoint(name, "/x")
        await everything(house)
    async with house.running():
        assert (await house.http.get("/v1/policies/night")).json()["document"] == NIGHT
        assert house.alerter.context().config.policy("night").fallback == ("desk",)
        assert house.alerter.process.current.config.policies[0].id == "default", "ingest and scorer know the file alone"


async def test_another_replica_takes_it_at_its_next_look(
    make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Path
) -> None:
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    one, other = make_house(database=url), make_house(database=url)
    for house in (one, other):
        write(house, tmp_path)
    async with one.running(), other.running():
        for name in ("dana-push", "dana-sms"):
            await one.endpoint(name, "/x")
        await post(one, "responders", DANA)
        await other.alerter.declaration_news.turn()
        assert other.alerter.context().config.responder("dana") is not None
        # Both at once, and each must see the other's: one deletes the person whom the other puts into a schedule.
        gone, made = await asyncio.gather(
            one.http.delete("/v1/responders/dana"), other.http.post("/v1/schedules", json=LISBON)
        )
        assert {gone.status_code, made.status_code} in ({204, 422}, {409, 201}), (gone.text, made.text)
        for house in (one, other):
            await house.alerter.declaration_news.turn()
            assert house.alerter.declared.whole.mistakes == ()


# -- the file comes first ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "name", "body"),
    [("responders", "lee", LEE), ("policies", "default", {"id": "default", "steps": [{"targets": ["desk"]}]})],
)
async def test_what_the_file_declares_is_read_only_and_says_which_file(
    filed: House, part: str, name: str, body: Any
) -> None:
    shown = (await filed.http.get(f"/v1/{part}/{name}")).json()
    assert (shown["declared_in"], shown["file"], shown["version"]) == ("file", "firebreak.yaml", None)
    for method, path, sent in (
        ("POST", f"/v1/{part}", body),
        ("PUT", f"/v1/{part}/{name}", body),
        ("PATCH", f"/v1/{part}/{name}", {}),
        ("DELETE", f"/v1/{part}/{name}", None),
    ):
        answer = await filed.http.request(method, path, json=sent)
        assert answer.status_code == 409, (method, answer.text)
        assert "is declared in firebreak.yaml, and is read-only here" in answer.json()["detail"]
    assert (await filed.http.get(f"/v1/{part}/{name}/versions")).json()["items"] == []


async def test_a_file_that_declares_the_same_id_wins_and_that_is_said(filed: House, tmp_path: Path) -> None:
    await everything(filed)
    mine = {"id": "dana", "methods": ["lee-push"]}
    write(filed, tmp_path, responders=[LEE, mine])
    assert await filed.alerter.process.current.reload() is Reload.TAKEN
    shown = (await filed.http.get("/v1/responders/dana")).json()
    assert (shown["declared_in"], shown["also_here"], shown["document"]) == ("file", True, mine)
    (said,) = (await filed.http.get("/v1/config")).json()["findings"]
    assert said.startswith("responder dana is declared in the file and at run time")
    assert (await filed.http.patch("/v1/responders/dana", json={"name": "D"})).status_code == 409
    # What counts for nothing may go, although a schedule names the id.
    assert (await filed.http.delete("/v1/responders/dana")).status_code == 204
    assert (await filed.http.delete("/v1/responders/dana")).status_code == 409
    assert (await filed.http.get("/v1/config")).json()["findings"] == []


async def test_a_file_that_drops_what_a_declaration_names_is_refused_and_the_last_good_one_stays(
    filed: House, tmp_path: Path
) -> None:
    await everything(filed)
    lees = [{"network": "bsky", "handle": "acme", "owner": "desk"}]
    brands = [{"id": "acme", "name": "Acme", "accounts": lees}, FILE["brands"][1]]
    write(filed, tmp_path, responders=[], brands=brands)
    answer = await filed.http.post("/v1/config/reload")
    assert answer.status_code == 422, answer.text
    (mistake,) = [one["why"] for one in answer.json()["errors"]]
    assert "schedules.lisbon.layers.0.responders.0: no responder 'lee'" in mistake
    assert filed.alerter.context().config.responder("lee") is not None
    # Mended in the database, the same file is right.
    days = {**DAYS, "responders": ["dana"]}
    assert (await filed.http.patch("/v1/schedules/lisbon", json={"layers": [days]})).status_code == 200
    assert (await filed.http.post("/v1/config/reload")).json()["changed"]
    assert filed.alerter.context().config.responder("lee") is None


async def test_a_start_with_such_a_file_loses_one_person_and_no_schedule(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    write(house, tmp_path)
    async with house.running():
        for name in ("desk", "lee-push", "dana-push", "dana-sms"):
            await house.endpoint(name, "/x")
        await everything(house)
    write(house, tmp_path, responders=[], brands=[{"id": "acme", "name": "Acme"}, FILE["brands"][1]])
    async with house.running():
        assert [one["id"] for one in (await house.http.get("/v1/schedules")).json()["items"]] == ["lisbon"]
        (said,) = (await house.http.get("/v1/config")).json()["findings"]
        assert "schedules.lisbon.layers.0.responders.0: no responder 'lee'" in said
        # What was wrong before is no reason to refuse what has nothing to do with it.
        assert (await house.http.patch("/v1/responders/dana", json={"name": "Dana K"})).status_code == 200
        assert (await house.http.post("/v1/config/reload")).json()["changed"] is False


async def test_doctor_says_what_is_declared_twice_and_what_the_database_adds(
    filed: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await everything(filed)
    path = write(filed, tmp_path, responders=[LEE, DANA])
    settings = filed.settings.model_copy(update={"config": path})
    capsys.readouterr()
    await asyncio.to_thread(doctor._check_reach, doctor.Findings(), settings)
    said = " ".join(capsys.readouterr().out.split())
    assert "responder dana is declared in the file and at run time" in said
    assert "every step of every policy reaches somebody" in said, "of the policy and the schedule in the database, too"


# -- checked as the file is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "body", "at", "why"),
    [
        ("responders", {**DANA, "methods": ["dana-pusch"]}, "body.methods.0", "did you mean 'dana-push'?"),
        ("responders", {**DANA, "digest": "mail"}, "body.digest", "there is no endpoint 'mail'"),
        ("responders", {**DANA, "methods": []}, "body.methods", "at least 1"),
        ("responders", {**DANA, "zone": "Mars/Olympus"}, "body.zone", "IANA"),
        ("responders", {**DANA, "phone": "1"}, "body.phone", "there is no such field here"),
        ("responders", {**DANA, "digst": "dana-push"}, "body.digst", "did you mean `digest`?"),
        ("responders", {"id": "ana"}, "body.methods", "this field is required"),
        ("responders", {**DANA, "id": "Dana K"}, "body.id", "pattern"),
        ("schedules", {**LISBON, "layers": [{**DAYS, "responders": ["nobody"]}]}, "body.layers.0.responders.0",
         "no responder 'nobody'; there are lee"),
        ("schedules", {**LISBON, "id": "lee", "layers": [{**DAYS, "responders": ["lee"]}]}, "body.id", "responder already"),
        ("schedules", {**LISBON, "layers": [{**DAYS, "shift_hours": 4}]}, "body.layers.0", "custom"),
        ("policies", {**NIGHT, "steps": [{"targets": ["schedule:lisboa"]}]}, "body.steps.0.targets.0",
         "no schedule 'lisboa'"),
        ("policies", {**NIGHT, "steps": [{"targets": ["lee"]}]}, "body.steps.0.targets.0", "did you mean 'responder:lee'?"),
        ("policies", {**NIGHT, "steps": [{"targets": ["desk"]}], "fallback": ["dsek"]}, "body.fallback.0",
         "did you mean 'desk'?"),
    ],
)  # fmt: skip
async def test_what_the_file_could_not_say_is_refused_with_its_place(
    filed: House, part: str, body: Any, at: str, why: str
) -> None:
    said = await post(filed, part, body, 422)
    assert [one["at"] for one in said["errors"]] == [at], said
    assert why in said["errors"][0]["why"]
    assert body["id"] not in [
        one["id"] for one in (await filed.http.get(f"/v1/{part}")).json()["items"] if one["version"]
    ]


async def test_what_is_no_document_at_all_is_refused(filed: House) -> None:
    await everything(filed)
    deep = b'{"id": "x", "methods": ' + b"[" * 300 + b"]" * 300 + b"}"
    for raw in (b"[]", b"null", b"7", b"{", b'"x"', b"\xff", deep, b'{"id": 7}', b'{"id": null}', b'{"id": ["a"]}'):
        for method, path in (("POST", "responders"), ("PUT", "responders/dana"), ("PATCH", "responders/dana")):
            headers = {"content-type": "application/json"}
            answer = await filed.http.request(method, f"/v1/{path}", content=raw, headers=headers)
            assert answer.status_code == 422, (method, raw[:40], answer.text)
    assert (await filed.http.get("/v1/responders/dana")).json()["version"] == 1


async def test_a_patch_changes_what_it_names_and_is_checked_whole(filed: House) -> None:
    await everything(filed)
    changed = await filed.http.patch("/v1/responders/dana", json={"zone": "Europe/Lisbon", "name": None})
    assert changed.status_code == 200, changed.text
    assert changed.json()["document"] == {"id": "dana", "methods": DANA["methods"], "zone": "Europe/Lisbon"}
    notify = {"urgent": [{"after_minutes": 0, "method": "dana-push"}, {"after_minutes": 3, "method": "dana-sms"}]}
    assert (await filed.http.patch("/v1/responders/dana", json={"notify": notify})).status_code == 200
    for wrong, at in (
        ({"methods": ["dana-push"]}, "body"),
        ({"id": "other"}, "body.id"),
        ({"id": None}, "body.id"),
        ({"zone": 7}, "body.zone"),
        ({"notify": {"urgnt": []}}, "body.notify.urgnt"),
        ({"methods": None}, "body.methods"),
    ):
        answer = await filed.http.patch("/v1/responders/dana", json=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (422, at), answer.text
    assert (await filed.http.get("/v1/responders/dana")).json()["version"] == 3
    newest = (await lines(filed, "responder.changed"))[0]
    assert newest["detail"] == {"by": "admin", "version": 3, "fields": ["notify"]}


async def test_a_stale_version_changes_nothing_and_the_answer_holds_the_current_one(filed: House) -> None:
    await everything(filed)
    first = await filed.http.get("/v1/policies/night")
    assert first.headers["etag"] == '"1"'
    newer = await filed.http.put(
        "/v1/policies/night", json={**NIGHT, "repeat": 2}, headers={"if-match": first.headers["etag"]}
    )
    assert (newer.status_code, newer.headers["etag"]) == (200, '"2"')
    for method, body in (("PUT", NIGHT), ("PATCH", {"repeat": 1}), ("DELETE", None)):
        answer = await filed.http.request(method, "/v1/policies/night", json=body, headers={"if-match": '"1"'})
        assert answer.status_code == 412, (method, answer.text)
        assert answer.json()["current"]["version"] == 2
        assert answer.json()["current"]["document"]["repeat"] == 2
    odd = await filed.http.patch("/v1/policies/night", json={}, headers={"if-match": "yesterday"})
    assert odd.status_code == 422
    assert (await filed.http.patch("/v1/policies/none", json={})).status_code == 404


async def test_every_version_stays_with_who_made_it_also_of_what_was_deleted(filed: House) -> None:
    await everything(filed)
    await filed.http.patch("/v1/responders/dana", json={"name": "Dana K"}, params={"by": "Lee"})
    for path in ("policies/night", "schedules/lisbon", "responders/dana"):
        if path == "policies/night":
            answer = await filed.http.delete(f"/v1/{path}")
            assert (answer.status_code, answer.json()["errors"][0]["at"]) == (409, "rules.own.policy")
            await house_without_the_rule(filed)
        assert (await filed.http.delete(f"/v1/{path}", params={"by": "Ana"})).status_code == 204
        assert (await filed.http.get(f"/v1/{path}")).status_code == 404
    seen = (await filed.http.get("/v1/responders/dana/versions")).json()["items"]
    assert [(one["version"], one["changed_by"], one["document"] and one["document"]["name"]) for one in seen] == [
        (3, "Ana", None), (2, "Lee", "Dana K"), (1, "Maria", "Dana"),
    ]  # fmt: skip
    again = await post(filed, "responders", DANA)
    assert again["version"] == 4


async def house_without_the_rule(house: House) -> None:
    assert house.file is not None
    house.file.path.write_text(yaml.safe_dump({**FILE, "rules": [FILE["rules"][1]]}))
    assert await house.alerter.process.current.reload() is Reload.TAKEN


async def test_nobody_is_deleted_who_is_still_named(filed: House) -> None:
    await everything(filed)
    shift = {"responder": "dana", "begins": "2026-03-02T09:00:00Z", "ends": "2026-03-03T09:00:00Z", "by": "lee"}
    await post(filed, "schedules/lisbon/overrides", shift)

    async def places(path: str) -> list[str]:
        answer = await filed.http.delete(f"/v1/{path}")
        assert answer.status_code == 409, answer.text
        return [one["at"] for one in answer.json()["errors"]]

    assert await places("responders/dana") == ["schedules.lisbon.layers.0.responders"]
    assert await places("schedules/lisbon") == ["policies.night.steps.0"]
    await filed.http.patch("/v1/schedules/lisbon", json={"layers": [{**DAYS, "responders": ["lee"]}]})
    (at,) = await places("responders/dana")
    assert at.startswith("schedules.lisbon.overrides.")
    await filed.signal(make.forecast(crossing=None))
    await filed.settle()
    await filed.http.patch("/v1/policies/night", json={"steps": [{"targets": ["desk"]}]})
    (at,) = await places("schedules/lisbon")
    assert at.startswith("incidents."), "an open incident keeps the policy that it was opened with"


# -- a schedule's edit -------------------------------------------------------------------------------------------------


async def test_an_edit_of_a_schedule_holds_from_the_next_hand_over_and_can_be_seen_before(filed: House) -> None:
    await everything(filed)
    now = (await filed.http.get("/v1/on-call")).json()["items"][0]["now"]
    assert now["responder"] == "lee"
    turned = {**LISBON, "layers": [{**DAYS, "responders": ["dana", "lee"]}]}
    seen = (await filed.http.post("/v1/schedules/lisbon/preview", json=turned)).json()
    assert seen["shifts"][0]["responder"] == "lee"
    assert len(seen["shifts"]) >= 7
    assert (await filed.http.get("/v1/schedules/lisbon")).json()["version"] == 1, "nothing was saved"
    saved = (await filed.http.put("/v1/schedules/lisbon", json=turned)).json()
    assert (await filed.http.get("/v1/on-call")).json()["items"][0]["now"]["responder"] == "lee"
    after = (await filed.http.get("/v1/schedules/lisbon/shifts", params={"days": 7})).json()["shifts"]
    assert after == seen["shifts"]
    assert saved["holds_from"] == seen["holds_from"]
    (line,) = await lines(filed, "schedule.changed")
    assert line["detail"]["by"] == "admin"
    assert "holds_from" in line["detail"]


async def test_a_preview_says_which_step_would_reach_nobody(filed: House) -> None:
    await everything(filed)
    gone = {**LISBON, "layers": [{**DAYS, "only": [{"days": ["mon"]}]}]}
    seen = (await filed.http.post("/v1/schedules/lisbon/preview", json=gone)).json()
    assert any("step 1 of night reaches nobody" in words for words in seen["findings"]), seen
    policy = {**NIGHT, "steps": [{"targets": ["schedule:lisbon"]}, {"after_minutes": 5, "targets": ["owner"]}]}
    seen = (await filed.http.post("/v1/policies/night/preview", json=policy)).json()
    assert [one["reaches"] for one in seen["steps"]] == [["lee (on call for lisbon)"], []]
    assert (await filed.http.post("/v1/policies/night/preview", json={**NIGHT, "steps": []})).status_code == 422


# -- who may -----------------------------------------------------------------------------------------------------------


async def test_a_key_for_some_brands_sees_its_own_people_and_changes_none(filed: House) -> None:
    await everything(filed)
    key = await make_key(filed, "centre", "admin", "other")
    for part in ("responders", "schedules"):
        assert (await filed.http.get(f"/v1/{part}", headers=key)).json()["items"] == []
    (own,) = (await filed.http.get("/v1/policies", headers=key)).json()["items"]
    assert own["id"] == "default"
    acme = await make_key(filed, "centre-of-acme", "admin", "acme")
    assert [one["id"] for one in (await filed.http.get("/v1/responders", headers=acme)).json()["items"]] == [
        "dana",
        "lee",
    ]
    for part, name, body in (
        ("responders", "dana", DANA),
        ("schedules", "lisbon", LISBON),
        ("policies", "night", NIGHT),
    ):
        for method, path, sent in (
            ("POST", f"/v1/{part}", {**body, "id": "mine"}),
            ("PUT", f"/v1/{part}/{name}", body),
            ("PATCH", f"/v1/{part}/{name}", {}),
            ("DELETE", f"/v1/{part}/{name}", None),
        ):
            assert (await filed.http.request(method, path, json=sent, headers=acme)).status_code == 403, (method, path)
            theirs = await filed.http.request(method, path, json=sent, headers=key)
            assert theirs.status_code == (403 if method == "POST" else 404), (method, path)
    responder = await make_key(filed, "night-shift", "respond")
    assert (await filed.http.delete("/v1/responders/dana", headers=responder)).status_code == 403
    assert [one["version"] for one in (await filed.http.get("/v1/responders")).json()["items"]] == [1, None]


async def test_old_versions_are_forgotten_and_the_newest_are_not(filed: House) -> None:
    await everything(filed)
    await filed.http.patch("/v1/responders/dana", json={"name": "Dana K"})
    for days, left in ((399, [2, 1]), (2, [2])):
        filed.clock.advance(days * 86_400)
        await filed.alerter.purger.turn()
        seen = (await filed.http.get("/v1/responders/dana/versions")).json()["items"]
        assert [one["version"] for one in seen] == left
