"""A model is what was made, byte by byte, or the start is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scorer import manifest
from scorer.sentiment import onnx
from scorer.sentiment.choose import choose
from scorer.virality import learned
from services.base.errors import Damaged

VIRALITY = Path(learned.__file__).with_name("weights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.bin", "b.json"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
    manifest.write(tmp_path, "a.bin", "b.json")
    return tmp_path


def test_what_is_as_it_was_made_is_taken(folder: Path) -> None:
    manifest.verify(folder, "a.bin", "b.json")


@pytest.mark.parametrize("place", [0, 2999, 4999])
def test_a_changed_byte_stops_the_start_and_names_the_file(folder: Path, place: int) -> None:
    content = bytearray((folder / "a.bin").read_bytes())
    content[place] ^= 1
    (folder / "a.bin").write_bytes(content)
    with pytest.raises(Damaged, match=r"a\.bin has SHA-256 .* Reinstall firebreak"):
        manifest.verify(folder, "a.bin", "b.json")


def test_so_do_a_missing_file_an_unlisted_one_and_a_missing_list(folder: Path) -> None:
    (folder / "c.json").write_text("{}")
    with pytest.raises(Damaged, match=r"c\.json .*nothing is listed"):
        manifest.verify(folder, "c.json")
    (folder / "b.json").unlink()
    with pytest.raises(Damaged, match=r"b\.json is missing"):
        manifest.verify(folder)
    (folder / manifest.NAME).unlink()
    with pytest.raises(Damaged, match="SHA256SUMS cannot be read"):
        manifest.verify(folder)


def test_what_ships_is_what_is_listed_and_sha256sum_says_so_too() -> None:
    for shipped, names in ((onnx.SHIPPED, onnx.FILES), (VIRALITY, (learned.FILE,))):
        manifest.verify(shipped, *names)
        done = subprocess.run(
            ["sha256sum", "--check", "--strict", manifest.NAME],  # noqa: S607
            cwd=shipped,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_shipped_models_are_checked_when_they_are_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(onnx.SHIPPED, tmp_path / "sentiment")
    calibration = tmp_path / "sentiment" / "calibration.json"
    calibration.write_text(calibration.read_text() + " ")
    monkeypatch.setattr(onnx, "SHIPPED", tmp_path / "sentiment")
    for name in (None, str(tmp_path / "sentiment")):
        with pytest.raises(Damaged, match=r"calibration\.json"):
            choose(name)
    shutil.copytree(VIRALITY, tmp_path / "virality" / "weights")
    weights = tmp_path / "virality" / "weights" / learned.FILE
    weights.write_bytes(weights.read_bytes().replace(b"1", b"2", 1))
    monkeypatch.setattr(learned, "files", lambda _: tmp_path / "virality")
    with pytest.raises(Damaged, match=r"virality\.json"):
        learned.shipped()
