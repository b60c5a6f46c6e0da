"""No imports go round in a circle, neither between the rooms of a service nor between its files, hidden ones included."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture.graph import SERVICES, circles, service


@pytest.mark.parametrize("name", SERVICES)
def test_no_rooms_import_one_another_in_a_circle(name: str) -> None:
    assert circles(service(name).rooms) == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_files_import_one_another_in_a_circle(name: str) -> None:
    assert circles(service(name).files) == []


@pytest.mark.parametrize("name", SERVICES)
def test_no_arrow_runs_back_up_against_the_layers(name: str) -> None:
    assert service(name).back_up == []


def test_a_circle_is_found_however_it_is_hidden(tmp_path: Path) -> None:
    layers = '[[tool.importlinter.contracts]]\ntype = "layers"\ncontainers = ["ingest"]\nlayers = ["a", "b | c"]\n'
    (tmp_path / "pyproject.toml").write_text(layers)
    (tmp_path / "ingest" / "a").mkdir(parents=True)
    for path, text in {
        "a/__init__.py": "",
        "a/one.py": "from ingest.b import thing",
        "a/two.py": "x = 1",
        "b.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ingest.a import two",
        "c.py": "def late():\n    import ingest.b",
    }.items():
        (tmp_path / "ingest" / path).write_text(text)
    found = service("ingest", tmp_path)
    assert circles(found.rooms) == [["ingest.a", "ingest.b"]]
    assert circles(found.files) == []
    assert found.back_up == [("ingest.b", "ingest.a"), ("ingest.c", "ingest.b")]
    (tmp_path / "ingest" / "a" / "two.py").write_text("import ingest.a.one")
    assert circles(service("ingest", tmp_path).files) == [["ingest.a.one", "ingest.a.two", "ingest.b"]]
