"""What is asked of the tree itself, so that it stays true: files, settings, metrics, and what the README says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from alerter.metrics import AlerterMetrics
from ingest.metrics import IngestMetrics
from ingest.sources.metrics import SourceMetrics
from scorer.metrics import ScorerMetrics
from scorer.sentiment.batcher import BatcherMetrics
from scorer.sentiment.metrics import ModelMetrics
from services.base.metrics import FloorMetrics
from services.base.settings import Settings
from services.runtime.registry import COMMANDS, load
from services.runtime.registry import SERVICES as SERVICE_PATHS

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    p for folder in ("services", "ingest", "scorer", "alerter", "deploy") for p in (ROOT / folder).rglob("*.py")
)
METRICS = (FloorMetrics, IngestMetrics, SourceMetrics, ScorerMetrics, BatcherMetrics, ModelMetrics, AlerterMetrics)
COUNTED = ("records", "texts", "ids", "rows", "cascades", "incidents", "deliveries", "requests", "answers", "dollars")
"""Things that are their own unit."""
UNIT = re.compile(rf"_(seconds|bytes|precision|{'|'.join(COUNTED)})(_in_flight|_overdue|_untold)?$")
FLAG = re.compile(r"\b1 (where|while)\b|\(1\)")
"""How the meaning of a metric says that it is 1 or 0."""
MOST_LINES = 400
LONGER = {
    "alerter/api/schemas.py": "every shape of the API, side by side as the OpenAPI document shows them",
    "alerter/store/migrations/versions/0001_initial.py": "a migration is as long as the tables are many",
    "alerter/store/tables.py": "every table, each column with its meaning",
}
"""The files that may be longer than `MOST_LINES`, each with the reason."""
TOO_VAGUE = {"utils", "util", "helpers", "helper", "common", "core", "manager", "misc"}
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_says_what_it_promises_has_one_purpose_and_a_name_that_means_something(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""'), "a file opens with what it promises"
    name, lines = path.relative_to(ROOT).as_posix(), text.count("\n")
    if name in LONGER:
        assert lines > MOST_LINES, "no exception is needed any more: take it off the list"
    else:
        assert lines <= MOST_LINES, "does it have one purpose?"
    assert path.stem not in TOO_VAGUE


def test_every_file_that_may_be_long_is_there() -> None:
    assert LONGER.keys() <= {path.relative_to(ROOT).as_posix() for path in SOURCES}


def test_every_setting_says_what_it_means() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_metric_has_our_prefix_a_meaning_and_a_unit() -> None:
    registry = CollectorRegistry()
    for metrics in METRICS:
        metrics(registry)
    found = list(registry.collect())
    assert len(found) > 25
    for metric in found:
        assert metric.name.startswith("firebreak_")
        assert len(metric.documentation) > 8, metric.name
        if metric.type == "counter":
            continue  # of what its name says; the client adds `_total`
        assert UNIT.search(metric.name) or FLAG.search(metric.documentation), f"{metric.name}: in which unit?"


def test_every_metric_that_a_service_declares_is_looked_at() -> None:
    declared = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Metrics"):
                declared.add(node.name)
    assert declared == {one.__name__ for one in METRICS}


def test_the_readme_is_short_and_its_invariants_name_tests_that_exist() -> None:
    assert README.count("\n") <= 200
    invariants = README.split("## The invariants")[1].split("\n## ")[0]
    rows = [line for line in invariants.splitlines() if re.match(r"\| \d+ ", line)]
    assert len(rows) == 10
    for row in rows:
        named = re.findall(r"`(tests/[^`:]+)::([^`]+)`", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_readme_names_folders_and_commands_that_exist() -> None:
    for folder in re.findall(r"^([a-z]+)/ ", README, re.MULTILINE):
        assert (ROOT / folder).is_dir(), folder
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert makefile.count("\n") <= 70
    for target in set(re.findall(r"`make ([a-z-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def named_by_strings() -> list[str]:
    """What the floor names as `module:name`, because it must not import the services."""
    found = set()
    for path in (ROOT / "services").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and re.fullmatch(r"(ingest|scorer|alerter)(\.\w+)+:\w+", str(node.value)):
                found.add(str(node.value))
    return sorted(found)


def test_what_the_floor_names_by_a_string_is_there() -> None:
    named = named_by_strings()
    assert {*SERVICE_PATHS.values(), *COMMANDS.values()} <= set(named)
    for path in named:
        assert load(path) is not None


def test_nothing_names_an_index_of_packages() -> None:
    for path in (*ROOT.glob("*.toml"), *ROOT.glob("*.txt"), ROOT / "Makefile", ROOT / ".ci" / "run"):
        text = path.read_text(encoding="utf-8")
        assert "index-url" not in text, path
        assert not re.search(r"@ (https?|file):", text), path
