"""Whatever the umask, and whatever was there before, only our user can read what we keep."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.base import private
from services.eventlog.sqlite import SqliteLog
from services.tools import data_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_folders_and_files_are_made_private_and_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o755)
    private.make_folder(there / "a" / "b")
    private.make_file(there / "a" / "f")
    private.write_text(there / "a" / "t", "one")
    private.write_text(there / "a" / "t", "two")
    assert [mode(there / name) for name in (".", "a", "a/b", "a/f", "a/t")] == [0o755, 0o700, 0o700, 0o600, 0o600]
    assert (there / "a" / "t").read_text() == "two"
    assert [path.name for path in (there / "a").iterdir() if path.name.startswith(".")] == [], "nothing is left behind"


def test_a_file_that_is_written_whole_does_not_take_over_the_mode_of_what_a_crash_left(tmp_path: Path) -> None:
    (tmp_path / ".firebreak-t.part").write_text("half")
    private.write_text(tmp_path / "t", "whole")
    assert (mode(tmp_path / "t"), (tmp_path / "t").read_text()) == (0o600, "whole")


def test_a_folder_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            private.make_folder(path)


async def test_the_log_and_all_that_lies_beside_it_is_private(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "data" / "log.db", 1)
    await log.start()
    found = {path.name: mode(path) for path in (tmp_path / "data").iterdir()}
    await log.close()
    assert found == {"log.db": 0o600, "log.db-wal": 0o600, "log.db-shm": 0o600}
    assert mode(tmp_path / "data") == 0o700


async def test_a_log_of_an_earlier_release_is_closed_to_others_when_it_is_opened(tmp_path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        (tmp_path / f"log.db{ending}").write_bytes(b"")
    log = SqliteLog(tmp_path / "log.db", 1)
    await log.start()
    await log.close()
    assert {mode(path) for path in tmp_path.glob("log.db*")} == {0o600}


def wide_folder(tmp_path: Path, *names: str) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    for name in names:
        (folder / name).write_text("")
        (folder / name).chmod(0o664)
    return folder


KEPT = ("log.db", "log.db-wal", "alerter.db", "alerter.db-shm", "alerter.db.lock", "quarantine-0-1.json")


def test_what_was_open_to_others_is_closed_and_said_once(tmp_path: Path) -> None:
    folder = wide_folder(tmp_path, *KEPT)
    with capture_logs() as said:
        for _ in range(2):
            private.close_to_others(private.open_to_others(folder))
    (line,) = said
    assert line["event"] == "data_was_open_to_others"
    assert sorted(line["paths"]) == sorted([str(folder), *(str(folder / name) for name in KEPT)])
    assert {mode(folder / name) for name in KEPT} == {0o600}
    assert mode(folder) == 0o700


@pytest.mark.parametrize("theirs", ["notes.txt", "lost+found", "other.db"])
def test_a_folder_that_holds_somebody_else_s_things_stays_as_it_is(tmp_path: Path, theirs: str) -> None:
    folder = wide_folder(tmp_path, "log.db", theirs)
    private.close_to_others(private.open_to_others(folder))
    assert [mode(folder / name) for name in (".", "log.db", theirs)] == [0o755, 0o600, 0o664]


def test_a_folder_without_anything_of_ours_or_for_everybody_stays_as_it_is(tmp_path: Path) -> None:
    empty = wide_folder(tmp_path)
    assert private.open_to_others(empty) == []
    assert private.open_to_others(tmp_path / "not there") == []
    (empty / "log.db").touch(0o600)
    empty.chmod(0o1777)
    assert private.open_to_others(empty) == [], "like /tmp"


def test_the_check_of_the_data_folder_makes_it_private(tmp_path: Path) -> None:
    assert data_folder.trouble_with(tmp_path / "new" / "data") is None
    assert [mode(tmp_path / name) for name in ("new", "new/data")] == [0o700, 0o700]
