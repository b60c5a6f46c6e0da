"""Rules that are tried do in memory what they would do at work; explanations go from the first post to the pager."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from alerter.cli import app, explain
from alerter.cli.explain import lines_of
from alerter.desk import due
from alerter.desk.rehearsal import Rehearsal
from alerter.incidents.store import Origin
from services.base.errors import ConfigError
from services.config.loading import over
from services.config.model import Config
from services.contracts.base import Event, event_id
from services.contracts.codec import encode
from services.contracts.signal import Level
from services.contracts.topics import SIGNALS
from services.eventlog.base import Message
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter.conftest import House, MakeHouse
from tests.unit.alerter import make

ROOT = Path(__file__).parents[3]
STORY: list[tuple[float, Event]] = [
    (0, make.forecast()),
    (2, make.negative("p9", 3, "bsky:p9")),
    (12, make.forecast(2, Level.CROSSED, crossed_at=make.NOW + timedelta(minutes=12))),
    (30, make.forecast(3, Level.EASING)),
    (31, make.forecast(1, Level.WATCH, story="bsky:p7")),
]


def rehearse(config: Config, story: list[tuple[float, Event]] = STORY) -> Any:
    rehearsal = Rehearsal(config)
    for number, (minutes, event) in enumerate(story):
        origin = Origin(event_id("test", number), 0, number)
        rehearsal.play(event, origin, make.NOW + timedelta(minutes=minutes))
    return rehearsal.report(make.NOW + timedelta(hours=3))


async def test_a_rehearsal_does_what_the_alerter_does(make_house: MakeHouse) -> None:
    config = make.config(brands=[{"id": "acme", "name": "Acme", "pages_per_hour": 1}])
    house = make_house(config)
    await house.receiver.start()
    async with house.running():
        await house.endpoint("desk")
        at = 0.0
        for minutes, event in STORY:
            await house.pass_time((minutes - at) * 60)
            at = minutes
            await house.signal(event)
            await house.settle()
        await house.pass_time(180 * 60 - at * 60)
        real = await house.incidents()
        messages = len(house.receiver.at("/desk"))
    report = rehearse(config)
    assert {(one.incident.story, one.incident.state, one.incident.severity) for one in report.incidents} == {
        (one["story"], one["state"], one["severity"]) for one in real
    }
    assert report.messages == messages
    assert report.worth.lead is not None
    assert report.worth.lead.median_minutes == 12


def test_other_rules_tell_more_or_less() -> None:
    rules = [{"id": "watch", "level": "watch", "policy": "default"}]
    assert len(rehearse(make.config(rules=rules)).incidents) == 2
    assert len(rehearse(make.config(rules=[{"id": "surge", "surge_factor": 3, "policy": "default"}])).incidents) == 0


def test_people_are_rung_in_a_rehearsal_as_they_would_be() -> None:
    rules = [{"method": "push"}, {"after_minutes": 3, "method": "sms"}, {"after_minutes": 6, "method": "push"}]
    plain = {"id": "dana", "methods": ["push", "sms"]}
    policies = [{"id": "default", "steps": [{"targets": ["responder:dana"]}]}]
    counts = [
        rehearse(make.config(policies=policies, responders=[{**plain, **more}]), STORY[:1]).messages
        for more in ({}, {"notify": {"urgent": rules, "calm": rules}})
    ]
    assert counts == [1, 3]


def test_a_page_that_waits_for_somebody_on_call_is_sent_in_a_rehearsal_as_it_would_be() -> None:
    layer = {"id": "base", "rotation": "daily", "begins": "2026-03-01T10:00", "responders": ["dana"]}
    rota = {
        "responders": [{"id": "dana", "methods": ["push"]}],
        "schedules": [{"id": "night", "zone": "UTC", "layers": [layer]}],
        "policies": [{"id": "default", "steps": [{"targets": ["schedule:night"]}], "insist_minutes": "never"}],
    }
    (one,) = rehearse(make.config(**rota), STORY[:1]).incidents
    assert one.messages == 1, "nobody is on call when it opens, and dana is an hour later"


def test_an_owner_who_is_an_endpoint_hears_of_it_in_a_rehearsal() -> None:
    account = {"network": "bsky", "handle": "acme", "owner": "care-team"}
    config = make.config(
        brands=[{"id": "acme", "name": "Acme", "accounts": [account]}],
        policies=[{"id": "default", "steps": [{"targets": ["owner"]}], "insist_minutes": "never"}],
    )
    (one,) = rehearse(config, STORY[:1]).incidents
    assert one.messages == 1


def test_whatever_falls_due_about_incidents_does_so_in_a_rehearsal() -> None:
    """The engine and rehearsals go by one list; what has a time and is not in it is named here, with the reason."""
    apart = {
        "alerter.answers.digest",  # of answers, which rules do not change
        "alerter.notify.outbox",  # deliveries, which arrive at once in a rehearsal
        "alerter.desk.due",
        "alerter.timekeeper.engine",
    }
    timed = set()
    for path in (ROOT / "alerter").rglob("*.py"):
        if re.search(r"^def next_due\(", path.read_text(encoding="utf-8"), re.MULTILINE):
            timed.add(".".join(path.relative_to(ROOT).with_suffix("").parts))
    assert timed - apart == {kind.next_due.__module__ for kind in due.KINDS}


def test_nobody_s_acknowledgement_means_that_the_policy_runs_to_its_end() -> None:
    (one,) = rehearse(make.config(), STORY[:1]).incidents
    assert one.messages == 2


async def filled(folder: Path, *events: Event) -> None:
    log = SqliteLog(folder / "log.db", 2, retention=False)
    await log.start()
    await log.append(
        [Message(SIGNALS.name, f"k{n}", encode(event, event_id("test", n))) for n, event in enumerate(events)]
    )
    await log.append([Message(SIGNALS.name, "bad", b"not json")])
    await log.close()


def dump(config: Config) -> str:
    return yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True))


async def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    now = datetime.now(UTC)
    await filled(
        tmp_path,
        make.forecast(at=now),
        make.forecast(2, Level.CROSSED, at=now),
        make.forecast(1, Level.WATCH, story="bsky:p7", at=now),
    )
    (tmp_path / "firebreak.yaml").write_text(dump(make.config()))
    monkeypatch.setenv("FIREBREAK_DATA", str(tmp_path))
    monkeypatch.setenv("FIREBREAK_PARTITIONS", "2")
    monkeypatch.setenv("FIREBREAK_CONFIG", str(tmp_path / "firebreak.yaml"))
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"rules": [{"id": "early", "level": "watch", "policy": "default"}]}))
    return rules


async def test_rules_are_tried_on_the_log_beside_the_present_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    rules = await prepared(tmp_path, monkeypatch)
    invoke = CliRunner().invoke
    result = await asyncio.to_thread(invoke, app.app, ["rules", "try", str(rules), "--since", "1h", "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["tried"]["signals"], len(told["tried"]["incidents"]), len(told["present"]["incidents"])) == (3, 2, 1)
    assert {one["rule"] for one in told["tried"]["incidents"]} == {"early"}
    shown = await asyncio.to_thread(invoke, app.app, ["rules", "try", str(rules), "--since", "1h"])
    assert "(new)" in shown.output
    wrong = await asyncio.to_thread(invoke, app.app, ["rules", "try", str(rules), "--since", "soon"])
    assert wrong.exit_code != 0
    assert "30d" in wrong.output


def test_a_file_of_rules_stands_over_the_present_configuration_and_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{id: early, level: watch, policy: nobody}]")
    with pytest.raises(ConfigError, match="no policy 'nobody'"):
        over(path, make.config())
    path.write_text("rules: [{id: early, level: watch, policy: default}]")
    merged = over(path, make.config())
    assert [rule.id for rule in merged.rules] == ["early"]
    assert merged.brands == make.config().brands
    assert merged.policies == make.config().policies
    path.write_text(dump(make.config()))
    assert over(path, merged).rules == make.config().rules


async def test_an_incident_is_explained_from_the_first_post_to_the_pager(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    await house.signal(make.forecast())
    await house.settle()
    (incident,) = await house.incidents()
    told = (await house.http.get(f"/v1/incidents/{incident['id']}/explain")).json()
    lines = lines_of(told)
    assert [line.what for line in lines] == ["post", "opened", "sent opened", "next"]
    assert lines[0].why == "@angry.example: the text of p1"
    assert lines[1].where == f"signals[{told['timeline'][0]['partition']}] @0"
    assert lines[1].took_seconds is not None
    assert lines[1].took_seconds >= 0
    assert lines[1].after_seconds == 20 * 60
    assert lines[2].why == "desk: delivered 204"
    assert lines[3].why.startswith("step 2 will tell")
    explain.show_explanation(told)
    shown = capsys.readouterr().out
    assert "Acme: a story on bsky" in shown
    assert "rule viral" in shown
