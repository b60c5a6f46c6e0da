"""What `firebreak init` and `firebreak serve` make up is kept, and never takes the place of what somebody set."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.base.errors import ConfigError
from services.config.loading import load
from services.tools import shipped
from services.tools.tryout import after_writing, with_what_is_missing


def test_keys_are_made_once_for_each_data_folder_and_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (first, said), (again, _) = with_what_is_missing({}), with_what_is_missing({})
    elsewhere, _ = with_what_is_missing({"FIREBREAK_DATA": str(tmp_path / "elsewhere")})
    for name in ("FIREBREAK_API_KEYS", "FIREBREAK_ADMIN_KEY"):
        assert first[name] == again[name]
        assert first[name] != elsewhere[name]
        assert sum(first[name].removeprefix("me:") in line for line in said) == 1
        assert len(first[name]) >= 32
    assert load(Path(first["FIREBREAK_CONFIG"])).brands, "without a file of one's own the example is played"


def test_what_somebody_set_stays_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    set_already = {
        "FIREBREAK_CONFIG": "ours.yaml", "FIREBREAK_API_KEYS": "desk:0123456789abcdef", "FIREBREAK_EGRESS_ALLOW": "",
        "FIREBREAK_ADMIN_KEY": "fedcba9876543210", "FIREBREAK_PORT": "9999",
    }  # fmt: skip
    made, said = with_what_is_missing(set_already)
    assert made == {}
    shown = "\n".join(said)
    assert "ours.yaml" in shown
    assert ":9999/console" in shown
    assert "0123456789abcdef" not in shown
    assert "fedcba9876543210" not in shown


def test_the_file_in_this_folder_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shipped.write_example(Path("firebreak.yaml"))
    assert with_what_is_missing({})[0]["FIREBREAK_CONFIG"] == "firebreak.yaml"


def test_an_example_is_never_written_over_anything(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("brands: []\n")
    link = tmp_path / "link.yaml"
    link.symlink_to(tmp_path / "nowhere.yaml")
    for there in (mine, link, tmp_path):
        with pytest.raises(ConfigError, match="is there already"):
            shipped.write_example(there)
    assert mine.read_text() == "brands: []\n"
    with pytest.raises(ConfigError, match="cannot be written"):
        shipped.write_example(mine / "below.yaml")
    shipped.write_example(tmp_path / "new" / "firebreak.yaml")
    assert load(tmp_path / "new" / "firebreak.yaml").brands
    assert str(tmp_path) in "\n".join(after_writing(tmp_path / "new" / "firebreak.yaml"))


def test_a_drill_of_one_s_own_goes_before_one_that_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.drill(Path("demo.yaml")) == shipped.DEMO
    Path("demo.yaml").write_text("mine")
    assert shipped.drill(Path("demo.yaml")) == Path("demo.yaml")
    assert shipped.drill(Path("demo")) == shipped.DEMO
    with pytest.raises(ConfigError, match="no drill of that name"):
        shipped.drill(Path("neverland"))
