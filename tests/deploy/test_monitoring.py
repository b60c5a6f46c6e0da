"""Dashboards and rules speak of what the code measures, every alert has a runbook entry and a unit test, promtool agrees."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.deploy.measured import OF_SCRAPING, alerts, boards, grouped_by, metrics, queries, recorded, spoken_of
from tests.deploy.tools import DEPLOY, ROOT, find, run

PROMETHEUS = DEPLOY / "prometheus"
RULES = [
    (rule.get("record") or rule["alert"], rule["expr"])
    for file in ("recording.yml", "alerts.yml")
    for group in yaml.safe_load((PROMETHEUS / file).read_text())["groups"]
    for rule in group["rules"]
]
ASKED = [(f"{board}/{panel}", expression) for board, panel, expression in queries()]


@pytest.mark.parametrize(("where", "expression"), RULES + ASKED)
def test_what_is_asked_for_is_measured(where: str, expression: str) -> None:
    known = metrics() | recorded()
    named = dict(spoken_of(expression))
    assert named or "vector(1)" in expression
    labels: set[str] = set(OF_SCRAPING)
    for series, matched in named.items():
        assert series in known, f"{where}: nobody measures {series}"
        labels |= known[series]
        assert matched <= known[series] | OF_SCRAPING, f"{where}: {series} has no {matched - known[series]}"
    assert grouped_by(expression) <= labels, where


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_is_explained_and_tested(alert: dict[str, object]) -> None:
    name = str(alert["alert"])
    labels, annotations = alert["labels"], alert["annotations"]
    assert isinstance(labels, dict)
    assert isinstance(annotations, dict)
    assert labels["severity"] in {"critical", "warning", "none"}
    file, _, anchor = annotations["runbook_url"].partition("#")
    entries = {
        line.strip("# ").lower(): line for line in (ROOT / file).read_text().splitlines() if line.startswith("#")
    }
    assert anchor == name.lower()
    assert anchor in entries, f"{file} does not say what to do about {name}"
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    fires = [case for test in tests for case in test.get("alert_rule_test", ()) if case["alertname"] == name]
    assert any(case.get("exp_alerts") for case in fires), f"no unit test lets {name} fire"
    quiet = tests[0]["alert_rule_test"]
    assert any(case["alertname"] == name for case in quiet), f"the quiet night does not speak of {name}"


@pytest.mark.parametrize("name", boards())
def test_a_dashboard_can_be_loaded_and_read(name: str) -> None:
    board = boards()[name]
    assert board["uid"] == name
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, f"{panel['title']} lies over another panel"
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["description"], panel["title"]
        for asked in panel["targets"]:
            # No data source of one installation: it is chosen where the board is imported.
            assert asked["datasource"]["uid"] == "${datasource}"
            assert asked["legendFormat"]


def test_promtool_accepts_the_rules_and_their_unit_tests() -> None:
    promtool = find("promtool")
    run(promtool, "check", "rules", "recording.yml", "alerts.yml", cwd=PROMETHEUS)
    assert "SUCCESS" in run(promtool, "test", "rules", "alerts_test.yml", cwd=PROMETHEUS)


def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    promtool = find("promtool")
    text = (PROMETHEUS / "prometheus.yml").read_text()
    for file in yaml.safe_load(text)["rule_files"]:
        text = text.replace(file, str(PROMETHEUS / Path(file).name))
    (tmp_path / "prometheus.yml").write_text(text)
    run(promtool, "check", "config", tmp_path / "prometheus.yml")


def test_alertmanager_accepts_its_configuration() -> None:
    run(find("amtool"), "check-config", PROMETHEUS / "alertmanager.yml")
