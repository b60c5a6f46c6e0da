"""The whole way: a signal on the log, an incident in the database, a signed webhook at a receiver."""

from __future__ import annotations

from datetime import timedelta

from services.contracts.base import event_id
from services.contracts.incident import IncidentChanged
from services.contracts.signal import Interval, Level, SurgePhase
from services.contracts.topics import DEADLETTER, SIGNALS
from services.eventlog.base import Message, Record
from tests.integration.alerter.conftest import House, MakeHouse
from tests.integration.alerter.receiver import verify
from tests.unit.alerter import make


async def test_a_forecast_becomes_a_signed_message_that_states_everything(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (got,) = house.receiver.at("/desk")
    verify(house.secrets["desk"], got)
    body = got.body
    assert body["type"] == "incident.opened"
    data = body["data"]
    assert data["title"] == "Acme: a story on bsky is likely to cross the line of 500 engagements"
    assert data["links"]["post"] == "https://bsky.example/post/p1"
    assert data["links"]["reply"] == "https://bsky.example/reply/p1"
    assert "rule viral" in data["reason"]
    assert data["how_sure"].startswith("70 % likely to cross the line of 500 engagements; ")
    assert data["answer_by"] == "2026-03-01T09:30:00Z"
    assert data["by_when"].endswith("an answer usually takes 15 minutes.")
    assert data["who_has_it"] == "Nobody has it yet."
    assert data["because"] == data["reason"]
    assert data["first_step"] == "Answer in public, within the thread."
    assert (data["sequence"], data["severity"], data["state"]) == (1, 3, "prior")
    (change,) = [e.event for e in await house.on_log()]
    assert isinstance(change, IncidentChanged)
    assert (change.change, change.incident.id) == ("opened", data["id"])


async def test_one_incident_from_forecast_to_all_clear(house: House) -> None:
    await house.signal(make.negative(severity=1), make.forecast(1, Level.LIKELY))
    await house.settle()
    await house.pass_time(11 * 60)
    await house.signal(
        make.forecast(2, Level.CROSSED, final_size=Interval(low=900, median=2000, high=4000), probability=1.0)
    )
    await house.settle()
    await house.signal(make.forecast(3, Level.EASING))
    await house.settle()
    (easing,) = await house.incidents()
    assert easing["state"] == "easing"
    await house.pass_time(61 * 60)
    (over,) = await house.incidents()
    assert over["state"] == "resolved"
    assert house.receiver.types("/desk") == [
        "incident.opened",
        "incident.escalated",
        "incident.updated",
        "incident.resolved",
    ]
    sequences = [one.body["data"]["sequence"] for one in house.receiver.at("/desk")]
    assert sequences == sorted(set(sequences))


async def test_steps_go_on_until_somebody_acknowledges(make_house: MakeHouse) -> None:
    steps = [
        {"endpoints": ["first"]},
        {"after_minutes": 5, "endpoints": ["second"]},
        {"after_minutes": 5, "endpoints": ["all"]},
    ]
    house = make_house(make.config(policies=[{"id": "default", "steps": steps}]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("first")
        await house.endpoint("second")
        await house.signal(make.forecast())
        await house.settle()
        assert (house.receiver.types("/first"), house.receiver.types("/second")) == (["incident.opened"], [])
        await house.pass_time(299)
        assert house.receiver.types("/second") == []
        await house.pass_time(1)
        assert house.receiver.types("/second") == ["incident.escalated"]
        (incident,) = await house.incidents()
        deed = {"by": "dana", "comment": "calling them"}
        answer = await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json=deed)
        assert answer.json()["acknowledged_by"] == "dana"
        again = await house.http.post(f"/v1/incidents/{incident['id']}/acknowledge", json=deed)
        assert again.json()["sequence"] == answer.json()["sequence"]
        await house.pass_time(29 * 60)
        assert house.receiver.types("/first") == ["incident.opened", "incident.acknowledged"]
        assert house.receiver.types("/second") == ["incident.escalated", "incident.acknowledged"]
        heard = house.receiver.at("/second")[-1].body["data"]
        assert heard["because"] == "dana acknowledged it: calling them"
        assert heard["who_has_it"].startswith("dana has it (since ")
        resolved = await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json={"by": "dana"})
        assert resolved.json()["state"] == "resolved"
        assert (await house.http.post(f"/v1/incidents/{incident['id']}/resolve", json=deed)).status_code == 409


async def test_a_step_without_anybody_goes_on_to_the_next_at_once(make_house: MakeHouse) -> None:
    steps = [{"endpoints": ["nobody"]}, {"after_minutes": 30, "endpoints": ["somebody"]}]
    house = make_house(make.config(policies=[{"id": "default", "steps": steps}]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("somebody")
        await house.signal(make.forecast())
        await house.settle()
        assert house.receiver.types("/somebody") == ["incident.escalated"]


async def test_a_signal_appended_twice_changes_nothing(house: House) -> None:
    await house.signal(make.forecast(), id="same")
    await house.settle()
    await house.signal(make.forecast(level=Level.CROSSED, number=9), id="same")
    await house.settle()
    (incident,) = await house.incidents()
    assert (incident["sequence"], incident["state"]) == (1, "prior")
    assert house.receiver.types("/desk") == ["incident.opened"]


async def test_a_quote_and_a_surge_join_the_incident_that_is_there(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.signal(make.forecast(1, Level.IMMINENT, conversation="bsky:q1", probability=0.95))
    await house.signal(make.surge(stories=("bsky:p1", "bsky:p2")))
    await house.signal(make.forecast(1, Level.LIKELY, story="bsky:p2"))
    await house.settle()
    (incident,) = await house.incidents()
    assert (incident["state"], incident["severity"]) == ("active", 1)
    await house.signal(make.surge(SurgePhase.END, minutes=5))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["state"] == "active"


async def test_bad_records_go_to_the_dead_letter_and_stop_nothing(house: House) -> None:
    await house.log.append([Message(SIGNALS.name, "acme", b"not json"), Message(SIGNALS.name, "acme", None)])
    await house.signal(make.forecast())
    await house.settle()
    assert house.receiver.types("/desk") == ["incident.opened"]
    letters: list[Record] = []
    for partition in await house.log.bounds(DEADLETTER.name):
        letters += (await house.log.read(DEADLETTER.name, partition, 0, 10)).records
    assert len(letters) == 2


async def test_a_deleted_post_is_forgotten_everywhere_and_receivers_are_told(house: House) -> None:
    await house.signal(make.forecast(), make.negative("p9", severity=1))
    await house.settle()
    await house.signal(make.redacted("p1"), make.redacted("p9"))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] is None
    assert incident["exemplars"] == []
    redaction = house.receiver.at("/desk")[-1]
    verify(house.secrets["desk"], redaction)
    assert redaction.type == "post.redacted"
    assert redaction.body["data"]["post_id"] == "p1"
    assert house.receiver.types("/desk").count("post.redacted") == 1  # p9 had never been sent
    (opened,) = [d for d in await house.deliveries() if d["type"] == "incident.opened"]
    await house.http.post(f"/v1/deliveries/{opened['id']}/resend")
    await house.settle()
    resent = house.receiver.at("/desk")[-1]
    assert (resent.id, resent.id) == (opened["id"], house.receiver.at("/desk")[0].id)
    assert b"the text of" not in resent.raw
    assert b"angry.example" not in resent.raw
    await house.signal(make.forecast(2))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"]["text"] is None


async def test_why_there_is_an_incident_can_be_read_back(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.pass_time(301)
    (incident,) = await house.incidents()
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    assert [line["kind"] for line in told["timeline"]] == ["opened", "escalated"]
    assert told["timeline"][0]["signal"] == event_id("test", 0)
    assert told["timeline"][0]["offset"] == 0
    assert [step["state"] for step in told["steps"]] == ["done", "done", "waiting"], "then its last step is repeated"
    assert [d["attempts"][0]["outcome"] for d in told["deliveries"]] == ["delivered", "delivered"]


async def test_a_restart_loses_nothing_and_doubles_nothing(make_house: MakeHouse) -> None:
    house = make_house()
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        await house.signal(make.forecast())
        await house.settle()
    house.clock.advance(timedelta(minutes=6).total_seconds())
    async with house.running():
        await house.settle()
        await house.signal(make.forecast(2, Level.CROSSED))
        await house.settle()
    async with house.running():
        await house.settle()
        (incident,) = await house.incidents()
        assert incident["state"] == "active"
    assert sorted(house.receiver.types("/desk")) == ["incident.escalated", "incident.opened", "incident.updated"]
    assert len({one.id for one in house.receiver.got}) == 3


async def test_the_metrics_tell_what_happened(house: House) -> None:
    await house.signal(make.forecast())
    await house.settle()
    await house.alerter.gauges.turn()
    sample = house.registry.get_sample_value
    assert sample("firebreak_alerter_signals_total", {"type": "cascade.forecast", "outcome": "opened"}) == 1
    assert sample("firebreak_incidents", {"state": "prior", "severity": "3"}) == 1
    assert sample("firebreak_deliveries_total", {"state": "delivered"}) == 1
    assert sample("firebreak_signal_to_incident_seconds_count") == 1
    assert sample("firebreak_incident_to_delivery_seconds_count") == 1
    assert house.alerter.ready().ok
    assert house.alerter.live().ok


async def test_an_incident_escalates_by_the_policy_it_was_opened_with(make_house: MakeHouse) -> None:
    before = [{"endpoints": ["first"]}, {"after_minutes": 5, "endpoints": ["second"]}]
    house = make_house(make.config(policies=[{"id": "default", "steps": before}]))
    await house.receiver.start()
    async with house.running():
        await house.endpoint("first")
        await house.endpoint("second")
        await house.signal(make.forecast())
        await house.settle()
    house.config = make.config(policies=[{"id": "default", "steps": [{"endpoints": ["first"]}]}])
    async with house.running():
        await house.pass_time(6 * 60)
    assert house.receiver.types("/second") == ["incident.escalated"], "the new policy knows no second step"


async def test_a_deletion_that_comes_before_the_incident_keeps_the_words_out_of_it(house: House) -> None:
    await house.signal(make.redacted("p1"), make.redacted("p9"))
    await house.settle()
    cards = (make.card("p9"), make.card("p3"))
    await house.signal(make.negative("p9"), make.forecast(exemplars=cards, loudest=cards))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident["root"] is None
    assert [card["post_id"] for card in (*incident["exemplars"], *incident["loudest"])] == ["p3", "p3"]
    (told,) = house.receiver.at("/desk")
    assert b"the text of p1" not in told.raw
    assert b"the text of p9" not in told.raw
    assert (await house.http.get("/v1/answer-clocks")).json()["items"] == []


async def test_a_surge_that_was_under_way_opens_no_incident_with_the_words_of_a_deleted_post(house: House) -> None:
    await house.signal(make.redacted("p1"), make.surge(exemplars=(make.card("p1"), make.card("p2"))))
    await house.settle()
    (incident,) = await house.incidents()
    assert [card["post_id"] for card in incident["exemplars"]] == ["p2"]
    assert b"the text of p1" not in house.receiver.at("/desk")[-1].raw


async def test_the_reply_that_drives_the_story_is_named_until_it_is_deleted(house: House) -> None:
    await house.signal(make.forecast(driver=make.card("p7")))
    await house.settle()
    (incident,) = await house.incidents()
    assert (incident["driver"]["post_id"], incident["root"]["post_id"]) == ("p7", "p1")
    opened = house.receiver.at("/desk")[-1]
    assert opened.body["data"]["driver"]["post_id"] == "p7"
    await house.signal(make.redacted("p7"), make.forecast(2, Level.CROSSED, driver=make.card("p7")))
    await house.settle()
    (incident,) = await house.incidents()
    assert incident.get("driver") is None
    assert house.receiver.types("/desk").count("post.redacted") == 1
    assert b"the text of p7" not in house.receiver.at("/desk")[-1].raw
