"""The alerter takes another configuration while incidents are open, and tells operators of one that it cannot take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from alerter.api.webhook_schema import webhook_schema
from services.config.current import Reload
from services.config.file import ConfigFile
from services.config.model import Config
from tests.integration.alerter.conftest import House, MakeDatabase, MakeHouse
from tests.integration.alerter.test_console import sign_in
from tests.integration.alerter.test_escalation import LAYER, NIGHT, PEOPLE, because
from tests.integration.alerter.test_keys import make_key
from tests.patience import PATIENCE_SECONDS
from tests.unit.alerter import make

BROKEN = "brands: [{id: acme, nmae: Acme}]\n"
STEPS = [{"targets": ["schedule:night"]}, {"after_minutes": 5, "targets": ["responder:lee"]}]
POLICY = {"id": "default", "steps": STEPS, "fallback": ["lead"]}
GOOD = "brands: [{id: acme, name: Acme}, {id: other, name: Other}]\n"


@asynccontextmanager
async def filed(house: House, tmp_path: Path, text: str = GOOD) -> AsyncIterator[Path]:
    """A running house that reads its configuration from the file that is yielded."""
    path = tmp_path / "firebreak.yaml"
    path.write_text(text)
    house.file = ConfigFile(path, house.settings.data)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("operator")
        yield path


async def operators_told(house: House) -> list[tuple[str, list[str]]]:
    await house.alerter.config_news.turn()
    await house.settle()
    return [(got.type, got.body["data"]["mistakes"]) for got in house.receiver.at("/operator")]


# -- asked by hand -----------------------------------------------------------------------------------------------------


async def test_a_reload_says_what_is_in_force_and_who_asked(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    async with filed(house, tmp_path) as path:
        first = (await house.http.get("/v1/config")).json()
        assert first["refused"] is None
        same = await house.http.post("/v1/config/reload")
        assert (same.status_code, same.json()) == (200, {"version": first["version"], "changed": False})
        path.write_text(GOOD + "operators: [lead]\n")
        answer = (await house.http.post("/v1/config/reload")).json()
        assert answer["changed"]
        assert answer["version"] != first["version"]
        assert house.alerter.context().config.operators == ("lead",)
        newest = (await house.http.get("/v1/audit")).json()["items"][0]
        assert (newest["actor"], newest["what"], newest["on"]) == ("admin", "config.reloaded", "firebreak.yaml")
        assert newest["detail"] == {"outcome": "taken", "version": answer["version"]}


async def test_a_broken_file_is_answered_with_every_mistake(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    async with filed(house, tmp_path) as path:
        version = (await house.http.get("/v1/config")).json()["version"]
        path.write_text(BROKEN)
        answer = await house.http.post("/v1/config/reload")
        assert answer.status_code == 422
        assert version in answer.json()["detail"]
        whys = [error["why"] for error in answer.json()["errors"]]
        assert len(whys) == 2
        assert "brands.0.nmae" in "".join(whys)
        shown = (await house.http.get("/v1/config")).json()
        assert shown["version"] == version
        assert shown["refused"]["mistakes"] == whys


async def test_the_configuration_is_no_business_of_a_key_for_some_brands(house: House) -> None:
    limited = await make_key(house, "centre", "admin", "acme")
    reader = await make_key(house, "reader", "respond")
    for method, path in (("GET", "/v1/config"), ("POST", "/v1/config/reload")):
        for who in (limited, reader):
            assert (await house.http.request(method, path, headers=who)).status_code == 403


# -- told to operators -------------------------------------------------------------------------------------------------


async def test_operators_are_told_once_that_the_file_is_broken_and_once_that_it_is_mended(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_house()
    async with filed(house, tmp_path) as path:
        assert await operators_told(house) == []
        path.write_text(BROKEN)
        await house.alerter.process.current.reload()
        for _ in range(3):
            ((kind, mistakes),) = await operators_told(house)
        assert kind == "config.refused"
        assert any("brands.0.nmae" in mistake for mistake in mistakes)
        path.write_text(GOOD)
        await house.alerter.process.current.reload()
        assert [kind for kind, _ in await operators_told(house)] == ["config.refused", "config.accepted"]
        house.clock.advance(86_400)
        path.write_text(BROKEN)
        await house.alerter.process.current.reload()
        assert len(await operators_told(house)) == 3, "the same mistake, another day"
        validator = jsonschema_rs.validator_for(webhook_schema())
        for got in house.receiver.at("/operator"):
            assert list(validator.iter_errors(got.body)) == []
        said = [line["what"] for line in (await house.http.get("/v1/audit")).json()["items"]]
        assert said[:3] == ["config.refused", "config.accepted", "config.refused"]


async def test_a_restart_with_a_broken_file_pages_by_the_last_good_one_and_tells_nobody_twice(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_house()
    whole = make.config().model_dump(mode="json", exclude_defaults=True)
    async with filed(house, tmp_path, str(whole).replace("None", "null")) as path:
        await house.endpoint("desk")
        path.write_text(BROKEN)
        await house.alerter.process.current.reload()
        assert len(await operators_told(house)) == 1
    async with house.running():
        assert len(await operators_told(house)) == 1
        await house.signal(make.forecast())
        await house.settle()
        assert [one["brand"] for one in await house.incidents()] == ["acme"]
    path.write_text(str(whole).replace("None", "null"))
    async with house.running():
        assert [kind for kind, _ in await operators_told(house)] == ["config.refused", "config.accepted"]


async def test_replicas_tell_once(make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Path) -> None:
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    one, other = make_house(database=url), make_house(database=url)
    async with filed(one, tmp_path) as path:
        other.file = ConfigFile(path, other.settings.data)
        async with other.running():
            for text in (BROKEN, GOOD):
                path.write_text(text)
                for house in (one, other):
                    await house.alerter.process.current.reload()
                await asyncio.gather(one.alerter.config_news.turn(), other.alerter.config_news.turn())
            await asyncio.gather(one.settle(), other.settle())
    assert one.receiver.types("/operator") == ["config.refused", "config.accepted"]


async def test_who_is_told_is_named_or_asks_for_it(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    async with filed(house, tmp_path, GOOD + "operators: [lead, nobody]\n") as path:
        await house.endpoint("lead")
        await house.endpoint("asks", subscribed=True, types=["config.*"])
        await house.endpoint("limited", subscribed=True, types=["config.*"], brands=["acme"])
        await house.endpoint("every", subscribed=True)
        path.write_text(BROKEN)
        await house.alerter.process.current.reload()
        await operators_told(house)
    told = {got.path for got in house.receiver.got if got.type == "config.refused"}
    assert told == {"/lead", "/asks"}


async def test_the_board_says_that_the_file_is_broken_and_what_is_wrong_to_those_inside(
    make_house: MakeHouse, tmp_path: Path
) -> None:
    house = make_house(public_url=None)
    async with filed(house, tmp_path) as path:
        limited = (await make_key(house, "centre", "read", "acme"))["authorization"].partition(" ")[2]
        async with sign_in(house) as inside, sign_in(house, limited) as outside:
            assert "has mistakes" not in (await inside.get("/console")).text
            path.write_text(BROKEN.replace("nmae", "<b>nmae</b>"))
            await house.alerter.process.current.reload()
            shown = (await inside.get("/console")).text
            assert "The configuration file has mistakes" in shown
            assert "brands.0.&lt;b&gt;nmae" in shown
            there = (await outside.get("/console")).text
            assert "The configuration file has mistakes" in there
            assert "nmae" not in there
            path.write_text(GOOD)
            await house.alerter.process.current.reload()
            assert "has mistakes" not in (await inside.get("/console")).text


# -- while incidents are open ------------------------------------------------------------------------------------------


def without(config: Config, **more: Any) -> Config:
    return Config.model_validate(config.model_dump(exclude_defaults=True) | more)


@asynccontextmanager
async def on_call(make_house: MakeHouse) -> AsyncIterator[House]:
    """Dana is on call for `night`; Lee is the second step."""
    house = make_house(make.config(policies=[POLICY], responders=PEOPLE, schedules=[NIGHT]))
    await house.receiver.start()
    async with house.running():
        for name in ("dana-push", "dana-sms", "lee-push", "lead"):
            await house.endpoint(name)
        yield house


def told(house: House) -> list[tuple[str, str]]:
    return [(got.path, got.type) for got in house.receiver.got]


async def test_an_incident_of_a_brand_and_a_policy_that_are_gone_goes_on_by_the_policy_it_has(
    make_house: MakeHouse,
) -> None:
    async with on_call(make_house) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        assert told(house) == [("/dana-push", "incident.opened")]
        other = {"id": "other", "name": "Other"}
        await house.reconfigure(without(house.config, brands=[other], policies=[], rules=[], playbooks={}))
        await house.signal(make.forecast(2, crossing=None, probability=0.97))
        await house.pass_time(6 * 60)
        assert ("/lee-push", "incident.escalated") in told(house)
        (incident,) = await house.incidents()
        for path in (f"/v1/incidents/{incident['id']}", f"/v1/incidents/{incident['id']}/explain", "/v1/on-call"):
            assert (await house.http.get(path)).status_code == 200
        taken = await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json={"by": "lee"})
        assert taken.status_code == 200
        await house.pass_time(5 * 24 * 3600, step=3600)
        assert [one["state"] for one in await house.incidents()] == ["resolved"], "silence ends it"
        assert house.registry.get_sample_value("firebreak_alerter_loop_errors_total", {"loop": "engine"}) == 0


async def test_who_was_on_call_and_is_gone_is_replaced_by_the_fallback(make_house: MakeHouse) -> None:
    async with on_call(make_house) as house:
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        await house.reconfigure(without(house.config, responders=[PEOPLE[0]], schedules=[], policies=[], rules=[]))
        await house.pass_time(6 * 60)
        assert ("/lead", "incident.escalated") in told(house)
        assert any("responder lee no longer exists: told lead instead" in line for line in await because(house))


async def test_a_shift_changes_with_the_reload(make_house: MakeHouse) -> None:
    async with on_call(make_house) as house:
        await house.reconfigure(
            without(house.config, schedules=[{**NIGHT, "layers": [{**LAYER, "responders": ["lee"]}]}])
        )
        await house.signal(make.forecast(crossing=None))
        await house.settle()
        assert told(house) == [("/lee-push", "incident.opened")]


async def test_a_rule_and_a_topic_count_from_the_reload_on(house: House) -> None:
    quiet = without(house.config, rules=[{"id": "almonds", "topics": ["almonds"], "policy": "default"}])
    await house.reconfigure(without(quiet, topics={"almonds": ["marzipan"]}))
    await house.signal(make.forecast(story="bsky:a"))
    await house.settle()
    assert await house.incidents() == []
    await house.signal(make.flagged(topics={"almonds": ("marzipan",)}, story="bsky:b"))
    await house.settle()
    assert [one["rule"] for one in await house.incidents()] == ["almonds"]


async def test_an_overdue_answer_of_a_brand_that_is_gone_stays_on_the_list(make_house: MakeHouse) -> None:
    brand = {
        "id": "acme", "name": "Acme", "promise": {"minutes": 30},
        "accounts": [{"network": "bsky", "handle": "acme", "owner": "desk"}],
    }  # fmt: skip
    house = make_house(make.config(brands=[brand], rules=[]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(make.negative())
        await house.settle()
        await house.reconfigure(without(house.config, brands=[{"id": "other", "name": "Other"}]))
        await house.pass_time(3 * 3600, step=600)
        assert house.receiver.types("/desk") == [], "nobody answers for the account any more"
        await house.alerter.gauges.turn()
        assert house.registry.get_sample_value("firebreak_answers_overdue", {"brand": "acme"}) == 1
        await house.reconfigure(without(house.config, brands=[brand]))
        await house.pass_time(2 * 3600, step=600)
        assert house.receiver.types("/desk") == ["answer.due"], "and is told when there is somebody again"


async def test_nobody_is_missed_on_a_schedule_that_is_gone(make_house: MakeHouse) -> None:
    async with on_call(make_house) as house:

        async def covered(value: float | None) -> None:
            # The alerter's own turn may be on its way with what was before.
            async with asyncio.timeout(PATIENCE_SECONDS):
                while house.registry.get_sample_value("firebreak_oncall_covered", {"schedule": "night"}) != value:
                    await house.alerter.gauges.turn()

        await covered(1)
        await house.reconfigure(without(house.config, schedules=[], policies=[], rules=[]))
        await covered(None)
        await house.reconfigure(house.config)
        await covered(1)


async def test_endpoints_that_are_declared_bind_the_names_from_the_reload_on(house: House) -> None:
    await house.reconfigure(house.config.model_copy(update={"endpoints": ("desk",)}))
    current = house.alerter.process.current
    assert current.config.endpoints == ("desk",)
    assert house.file is not None
    house.file.path.write_text(house.file.path.read_text().replace("endpoints:\n- desk", "endpoints:\n- dsek", 1))
    assert await current.reload() is Reload.REFUSED
    assert current.refused is not None
    assert any("did you mean 'dsek'" in mistake for mistake in current.refused.mistakes)


async def test_which_incidents_are_urgent_changes_with_the_configuration(house: House) -> None:
    assert house.alerter.context().config.urgency(3) == "calm"
    await house.reconfigure(house.config.model_copy(update={"urgent_severity": 3}))
    assert house.alerter.context().config.urgency(3) == "urgent"


@pytest.mark.parametrize("section", sorted(Config.model_fields))
def test_each_section_says_whether_it_needs_a_restart(section: str) -> None:
    """None does. A new section is listed here when a test shows that the services take it while they run."""
    shown = {
        "brands", "sources", "rules", "policies", "responders", "schedules",
        "quiet_hours", "playbooks", "topics", "operators", "endpoints", "urgent_severity", "at_run_time",
        "only_confirmed_methods",
    }  # fmt: skip
    assert section in shown
