"""The `firebreak` command: reads well, explains what is wrong, does what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from alerter.notify import endpoints
from alerter.notify.endpoints import Draft
from alerter.store import migrate, tables
from alerter.store.database import default_url, engine_of

ROOT = Path(__file__).parents[2]
COMMANDS = ("run", "init", "serve", "demo", "reload", "drill", "replay", "sink", "topics", "doctor")
CONFIG = "brands: [{id: acme, name: Acme, line: {engagements: 20}}]\n"


def firebreak(*words: str, before: tuple[str, ...] = (), **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FIREBREAK_")}
    return subprocess.run(
        [*before, sys.executable, "-m", "services", *words],
        env={
            **clean,
            "COLUMNS": "160",
            "TERM": "dumb",
            "NO_COLOR": "1",
            **{f"FIREBREAK_{k}": v for k, v in settings.items()},
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_lists_every_command_and_each_explains_itself() -> None:
    said = firebreak("--help").stdout
    assert all(command in said for command in COMMANDS)
    for command in COMMANDS:
        answer = firebreak(command, "--help")
        assert answer.returncode == 0
        assert "Usage" in answer.stdout


def test_a_wrong_configuration_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "firebreak.yaml"
    path.write_text("brands:\n  - id: acme\n    nmae: Acme\n")
    answer = firebreak("run", CONFIG=str(path), DATA=str(tmp_path))
    assert answer.returncode == 1
    assert f"{path}:3: brands.0.nmae" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_the_doctor_says_that_a_start_would_run_on_the_last_good_configuration(tmp_path: Path) -> None:
    path = tmp_path / "firebreak.yaml"
    path.write_text("brands:\n  - id: acme\n    nmae: Acme\n")
    assert "last good" not in firebreak("doctor", CONFIG=str(path), DATA=str(tmp_path)).stdout
    (tmp_path / "config.last-good.yaml").write_text(CONFIG)
    answer = firebreak("doctor", CONFIG=str(path), DATA=str(tmp_path))
    assert answer.returncode == 1
    assert "runs on the last good configuration" in answer.stdout


def test_a_wrong_setting_is_named_and_its_value_is_not_shown() -> None:
    answer = firebreak("doctor", PORT="99999", API_KEYS="me:secretsecretsecret")
    assert answer.returncode == 1
    assert "FIREBREAK_PORT" in answer.stderr
    assert "secretsecret" not in answer.stdout + answer.stderr


def test_an_unknown_service_is_named() -> None:
    answer = firebreak("run", "scroer")
    assert answer.returncode == 2
    assert "scroer" in answer.stderr
    assert "scorer" in answer.stderr


def test_the_doctor_finds_what_is_missing_and_says_what_to_do(tmp_path: Path) -> None:
    ill = firebreak("doctor", CONFIG=str(tmp_path / "none.yaml"), DATA=str(tmp_path))
    assert ill.returncode == 1
    for words in ("none.yaml", "FIREBREAK_API_KEYS", "FIREBREAK_ADMIN_KEY", "do:"):
        assert words in ill.stdout, ill.stdout
    (tmp_path / "firebreak.yaml").write_text(CONFIG)
    well = firebreak(
        "doctor",
        CONFIG=str(tmp_path / "firebreak.yaml"),
        DATA=str(tmp_path),
        API_KEYS="me:" + "k" * 20,
        ADMIN_KEY="a" * 20,
    )
    assert well.returncode == 0, well.stdout
    assert "1 brand, 0 accounts" in well.stdout


def test_the_doctor_notes_names_that_are_everyday_words(tmp_path: Path) -> None:
    (tmp_path / "firebreak.yaml").write_text(
        "brands:\n- {id: pear, name: Orange, names: [Pear Ltd]}\n"
        "- {id: gap, name: GAP, ambiguous: true}\n- {id: sony, name: Sony}\n"
    )
    answer = firebreak("doctor", CONFIG=str(tmp_path / "firebreak.yaml"), DATA=str(tmp_path))
    told = " ".join(answer.stdout.split())
    assert "brand pear: 'Orange' is also an everyday word (English). With `ambiguous: [Orange]` it counts only" in told
    assert "brand gap" not in told, "it is declared"
    assert "brand sony" not in told


POLICY = """
rules: [{id: viral, level: likely, policy: desk}]
policies:
- {id: desk, steps: [{endpoints: [front]}, {targets: ["schedule:night"]}]}
responders: [{id: dana, methods: [front]}]
schedules:
- id: night
  zone: Europe/Berlin
  layers:
  - {id: base, rotation: daily, begins: 2026-01-05T00:00, responders: [dana],
     only: [{days: [mon, tue, wed, thu, fri, sat]}]}
"""


def test_the_doctor_plays_every_policy_over_the_coming_week(tmp_path: Path) -> None:
    (tmp_path / "firebreak.yaml").write_text(CONFIG + POLICY)
    asked: dict[str, Any] = {
        "CONFIG": str(tmp_path / "firebreak.yaml"),
        "DATA": str(tmp_path),
        "API_KEYS": "me:" + "k" * 20,
        "ADMIN_KEY": "a" * 20,
    }
    fresh = firebreak("doctor", **asked)
    told = " ".join(fresh.stdout.split())
    assert fresh.returncode == 0, "endpoints are made at run time, and nothing has run yet"
    assert "step 1 of desk reaches nobody: endpoint front does not exist" in told
    assert "until then nobody is told" in told
    url = default_url(tmp_path)
    engine = engine_of(url)
    migrate.up(engine)
    begun = firebreak("doctor", **asked)
    assert begun.returncode == 1
    with engine.begin() as connection:
        now = datetime.now(UTC)
        endpoints.add(connection, Draft("front", "https://desk.example/"), now)
        endpoints.add(connection, Draft("mute", "https://mute.example/"), now)
        fails = {"failures": 9, "failing_since": now}
        connection.execute(update(tables.endpoints).where(tables.endpoints.c.name == "mute").values(**fails))
    engine.dispose()
    almost = firebreak("doctor", **asked)
    told = " ".join(almost.stdout.split())
    assert almost.returncode == 1
    assert "step 2 of desk reaches nobody on Sundays: nobody is on call for night" in told
    assert "step 1" not in told
    assert "endpoint mute has been failing since" in told
    assert "(9 attempts in a row); no policy pages it" in told
    whole = (CONFIG + POLICY).replace(", sat]", ", sat, sun]")
    (tmp_path / "firebreak.yaml").write_text(whole)
    well = firebreak("doctor", **asked)
    assert well.returncode == 0, well.stdout
    assert "every step of every policy reaches somebody" in well.stdout


def _asked_of_permissions() -> tuple[str, ...]:
    """What makes permissions concern us: root passes them, unless it gives up the right to."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root passes every permission, and setpriv (util-linux) is not here to change that")
    rights = "-dac_override,-dac_read_search"
    return "setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"


def _with_data(command: str, tmp_path: Path, data: Path) -> str:
    """What is said of the folder; it must be refused."""
    (tmp_path / "firebreak.yaml").write_text(CONFIG)
    answer = firebreak(
        command, CONFIG=str(tmp_path / "firebreak.yaml"), DATA=str(data), API_KEYS="me:" + "k" * 20, ADMIN_KEY="a" * 20,
        PORT="0", before=_asked_of_permissions(),
    )  # fmt: skip
    said = " ".join((answer.stdout + answer.stderr).split())
    assert answer.returncode == 1, said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("command", ["doctor", "run"])
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_data_folder_that_is_not_ours_is_named_with_its_owner_and_the_remedy(
    tmp_path: Path, command: str, mode: int
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(mode)
    said = _with_data(command, tmp_path, data)
    for words in (str(data), "Permission denied", f"mode {mode:04o}", f"({os.geteuid()})", "chown -R", "U=true"):
        assert words in said, said
    data.chmod(0o755)


@pytest.mark.parametrize("command", ["doctor", "run"])
@pytest.mark.parametrize("name", ["log.db", "alerter.db-wal"])
def test_a_file_of_the_database_that_is_not_ours_is_named(tmp_path: Path, command: str, name: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / name).write_bytes(b"")
    (data / name).chmod(0o400)
    said = _with_data(command, tmp_path, data)
    for words in (f"{data / name} cannot be read and written", "mode 0400", "chown -R"):
        assert words in said, said


@pytest.mark.parametrize("command", ["doctor", "run"])
def test_a_data_folder_below_a_file_is_named(tmp_path: Path, command: str) -> None:
    said = _with_data(command, tmp_path, tmp_path / "firebreak.yaml" / "data")
    assert "firebreak.yaml is a file" in said
    assert "FIREBREAK_DATA" in said


def test_the_doctor_refuses_to_run_without_assertions(tmp_path: Path) -> None:
    answer = subprocess.run(
        [sys.executable, "-O", "-m", "services", "doctor"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**os.environ, "FIREBREAK_DATA": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert answer.returncode == 1
    assert "-O" in answer.stdout


def test_the_doctor_prints_the_schema_and_every_setting() -> None:
    schema = json.loads(firebreak("doctor", "--schema").stdout)
    assert "brands" in schema["properties"]
    listed = firebreak("doctor", "--settings").stdout
    assert "FIREBREAK_KAFKA_BOOTSTRAP" in listed


def test_the_doctor_says_that_a_broker_does_not_answer(tmp_path: Path) -> None:
    (tmp_path / "firebreak.yaml").write_text(CONFIG)
    answer = firebreak(
        "doctor", CONFIG=str(tmp_path / "firebreak.yaml"), DATA=str(tmp_path), LOG="kafka", KAFKA_BOOTSTRAP="127.0.0.1:1",
        API_KEYS="me:" + "k" * 20, ADMIN_KEY="a" * 20,
    )  # fmt: skip
    assert answer.returncode == 1
    assert "does not answer" in answer.stdout
    assert "FIREBREAK_KAFKA_BOOTSTRAP" in answer.stdout


def test_topics_are_listed() -> None:
    answer = firebreak("topics")
    assert answer.returncode == 0
    assert "firebreak.posts" in answer.stdout


@pytest.fixture
def cascades(tmp_path: Path) -> Path:
    """Two cascades of our own in the schema of public ones: one that spreads, one that does not."""
    path = tmp_path / "cascades.jsonl"
    big = {"cascade_id": "big", "root_time": 1e9, "text": "Acme is terrible", "events": [[0, 900, "post"]]}
    big["events"] += [[20 * n, 300 + n, "retweet"] for n in range(1, 60)]  # type: ignore[operator]
    small = {"cascade_id": "small", "root_time": 1e9, "text": None, "events": [[0, None, "post"], [30, 50, "reply"]]}
    path.write_text("\n".join(map(json.dumps, (big, small))))
    return path


def test_a_replay_sends_everything_and_tells_what_came_of_it(cascades: Path, tmp_path: Path) -> None:
    config = tmp_path / "firebreak.yaml"
    config.write_text(
        CONFIG + "rules: [{id: r, level: likely, policy: p}]\npolicies: [{id: p, steps: [{endpoints: [all]}]}]\n"
    )
    answer = firebreak(
        "replay", str(cascades), "--speed", "600", "--brand", "acme", CONFIG=str(config), DATA=str(tmp_path)
    )
    assert answer.returncode == 0, answer.stderr
    assert "62 posts" in answer.stdout
    assert "62 accepted, 0 rejected" in answer.stdout
    assert "1 incident\n" in answer.stdout, answer.stdout


def test_a_replay_names_the_line_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "posts.ndjson"
    path.write_text('{"network":"x","post_id":"1","kind":"original","platform_at":"2026-01-01T00:00:00Z"}\n{"oops\n')
    answer = firebreak("replay", str(path))
    assert answer.returncode == 1
    assert f"{path}:2: not JSON" in answer.stderr


def test_a_sink_without_secrets_says_where_they_come_from() -> None:
    answer = firebreak("sink")
    assert answer.returncode == 2
    assert "POST /v1/endpoints" in answer.stderr


def test_a_drill_that_makes_no_sense_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "drill.yaml"
    path.write_text("title: t\n")
    answer = firebreak("drill", str(path))
    assert answer.returncode == 1
    assert "lasts: Field required" in answer.stderr
