"""The backtest: the figures are those of the definition, the trace lets anyone compute them, bad files are named."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from scorer.backtest.cli import app, seconds_of
from scorer.backtest.measure import OURS, Measured
from scorer.backtest.recorded import Event, Recorded, read
from scorer.backtest.replay import Look, Replay
from scorer.virality.forecast import LIKELY_AT
from scorer.virality.learned import shipped
from services.base.errors import FirebreakError
from services.contracts.signal import Level, Line

HORIZON = 72 * 3600.0


def recorded(name: str, size: int, median: float, seed: int = 0) -> Recorded:
    rng = random.Random(seed)
    delays = sorted(median * rng.lognormvariate(0, 0.8) for _ in range(size))
    return Recorded(name, [Event(0.0, 100, "post"), *(Event(delay, None, "retweet") for delay in delays)])


def look(seconds: float, observed: int, p: float, *, check: bool = False) -> Look:
    return Look(seconds, observed, p, 100, 50, 200, None, None, check, True, (float(observed), 0.0, 0.0, 0.0))


def test_an_alert_is_the_first_look_over_the_threshold_before_the_line() -> None:
    measured = Measured(100, HORIZON)
    crosses, stays = recorded("a", 120, 600), recorded("b", 60, 600)
    at = crosses.crossing(100, HORIZON)
    assert at is not None
    measured.add(crosses, [look(60, 20, 0.5), look(120, 40, 0.9), look(180, 60, 0.7), look(at + 1, 101, 1.0)])
    measured.add(stays, [look(60, 20, 0.6), look(120, 30, 0.2)])
    point = measured.at(OURS, 0.55)
    assert (point.alerts, point.true, point.false, point.precision, point.recall) == (2, 1, 1, 0.5, 1.0)
    assert point.lead_median == pytest.approx((at - 120) / 60)
    assert point.left == pytest.approx(0.6)
    best = measured.operating_point(OURS, 0.9)
    assert best is not None
    assert (best.threshold, best.precision) == (0.9, 1.0)


def test_what_is_said_once_the_line_is_crossed_is_no_alert() -> None:
    measured = Measured(100, HORIZON)
    measured.add(recorded("a", 120, 600), [look(9_999, 101, 1.0)])
    point = measured.at(OURS, 0.5)
    assert (point.alerts, point.recall) == (0, 0.0)


def test_honest_probabilities_have_no_calibration_error() -> None:
    measured = Measured(100, HORIZON)
    for number in range(100):
        size = 120 if number < 30 else 60
        measured.add(recorded(f"{number}", size, 600), [look(600, 20, 0.3, check=True)])
    assert measured.calibration()["ece"] == pytest.approx(0.0, abs=1e-9)
    assert measured.calibration()["brier"] == pytest.approx(0.21)


def test_a_storm_is_forecast_before_it_crosses_and_silence_is_judged_at_the_checks() -> None:
    storm = recorded("storm", 3_000, 3_600, seed=1)
    looks = list(Replay(shipped(), Line(engagements=500), HORIZON).follow(storm))
    crossed = storm.crossing(500, HORIZON)
    first = next(one for one in looks if one.probability >= LIKELY_AT)
    assert crossed is not None
    assert first.seconds < crossed
    assert looks[-1].level in {Level.CROSSED, Level.EASING}
    assert [one.seconds for one in looks if one.check] == [600, 1800, 3600, 14400]
    assert [one.seconds for one in looks] == sorted(one.seconds for one in looks)


def test_silence_eases_a_story_by_timer_as_in_production() -> None:
    rng = random.Random(3)
    delays = sorted(rng.uniform(0, 1_800) for _ in range(200))
    burst = Recorded("burst", [Event(0.0, 100, "post"), *(Event(delay, None, "retweet") for delay in delays)])
    looks = list(Replay(shipped(), Line(engagements=150), HORIZON).follow(burst))
    eased = next(one for one in looks if one.level is Level.EASING and not one.check)
    assert 1_800 <= eased.seconds - delays[-1] <= 2_400
    assert not any(one.seconds > eased.seconds and not one.check for one in looks), "nobody looks at what has eased"


def test_the_command_prints_writes_and_draws(tmp_path: Path) -> None:
    source, trace = tmp_path / "some.jsonl.gz", tmp_path / "trace.jsonl"
    with gzip.open(source, "wt") as out:
        for number in range(12):
            one = recorded(f"c{number}", 900 if number % 3 == 0 else 40, 3_600, seed=number)
            events = [[event.delay, event.followers, event.kind] for event in one.events]
            out.write(json.dumps({"cascade_id": one.cascade_id, "events": events}) + "\n")
    arguments = ["--cascades", source, "--line", "500", "--json", tmp_path / "a.json", "--html", tmp_path / "a.html"]
    result = CliRunner().invoke(app, [*map(str, arguments), "--trace", str(trace)])
    assert result.exit_code == 0, result.output
    summary = json.loads((tmp_path / "a.json").read_text())
    assert (summary["cascades"], summary["crossing"]) == (12, 4)
    assert "learned of recorded: log-odds x" in result.output
    rows = [json.loads(line) for line in trace.read_text().splitlines()]
    assert set(rows[0]) == {
        "cascade_id", "seconds", "observed", "probability", "predicted", "low", "high", "crossing_seconds", "level",
    }  # fmt: skip
    assert "<svg" in (tmp_path / "a.html").read_text()


def test_mention_counts_are_played_beside_the_rules_of_the_market(tmp_path: Path) -> None:
    rng, lines = random.Random(1), ["timestamp,value"]
    for number in range(288 * 6):
        hour, minute = divmod(number * 5, 60)
        value = rng.randrange(3, 8) + (300 if 288 * 5 <= number < 288 * 5 + 12 else 0)
        lines.append(f"2015-03-{1 + hour // 24:02d} {hour % 24:02d}:{minute:02d}:00,{value}")
    (tmp_path / "brand.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "windows.json").write_text(json.dumps({"brand": [["2015-03-05 20:00:00", "2015-03-06 10:00:00"]]}))
    arguments = [
        "--series",
        tmp_path / "brand.csv",
        "--windows",
        tmp_path / "windows.json",
        "--json",
        tmp_path / "s.json",
    ]
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    ours = json.loads((tmp_path / "s.json").read_text())[0]
    assert (ours["rule"], ours["caught"], ours["false"]) == ("firebreak", 1, 0)


def test_a_file_that_cannot_be_read_is_named_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"cascade_id": "a", "events": [[0, null, "post"]]}\n{"cascade_id": 7}\n')
    with pytest.raises(FirebreakError, match=r"bad\.jsonl, line 2"):
        list(read([bad]))
    with pytest.raises(FirebreakError, match="no file"):
        list(read([tmp_path / "none"]))


def test_spans_are_said_as_people_say_them() -> None:
    assert [seconds_of(span) for span in ("72h", "3d", "90m", "600s")] == [259_200, 259_200, 5_400, 600]
    with pytest.raises(FirebreakError):
        seconds_of("soon")


def test_what_a_story_came_to_is_known_to_those_that_begin_afterwards_and_to_no_others() -> None:
    line = Line(engagements=500)

    def said(learning: bool, *begins: float) -> list[float]:
        replay = Replay(shipped(), line, HORIZON, learning=learning)
        stories = (recorded(f"{n}", 3_000, 3_600, seed=n) for n in range(len(begins)))
        looks = [list(replay.follow(replace(story, root_time=at))) for story, at in zip(stories, begins, strict=True)]
        return [look.probability for look in looks[-1]]

    at_once, later = [1e9] * 4, [1e9, 1e9, 1e9, 1e9 + HORIZON]
    assert said(True, *at_once) == said(False, *at_once)
    assert said(True, *later) != said(False, *later)
