"""A configuration is taken whole or not at all, whoever writes the file and however; a restart runs on what was last good."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from services.base.errors import ConfigError
from services.config import file as file_module
from services.config.current import CurrentConfig, Reload
from services.config.file import LAST_GOOD, ConfigFile
from services.config.model import Config
from services.config.yaml_reading import read


def brands(*names: str) -> str:
    return "brands:\n" + "".join(f"  - {{id: {name}, name: {name.title()}}}\n" for name in names)


GOOD, OTHER, BROKEN = brands("acme"), brands("acme", "blue"), "brands: [{id: acme, nmae: Acme}]\n"


class Operator:
    """Somebody who changes the file of a process, which restarts now and then."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "firebreak.yaml"
        self.data = folder / "data"

    def starts(self) -> CurrentConfig:
        return CurrentConfig.from_file(ConfigFile(self.path, self.data))

    def writes(self, text: str) -> None:
        self.path.write_text(text)


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    made = Operator(tmp_path)
    made.writes(GOOD)
    return made


def ids(current: CurrentConfig) -> list[str]:
    return [brand.id for brand in current.config.brands]


async def looked(current: CurrentConfig, times: int = 2) -> list[str]:
    """The brands after so many looks at the file."""
    for _ in range(times):
        await current.look()
    return ids(current)


async def test_what_is_made_of_a_configuration_changes_with_it_in_one_moment(operator: Operator) -> None:
    current = operator.starts()
    seen: list[tuple[int, str]] = []
    counted = current.derive(lambda config: len(config.brands))

    def name(config: Config) -> str:
        seen.append((counted.now, current.version))
        return config.brands[-1].name

    named = current.derive(name)
    old = current.version
    assert (counted.now, named.now) == (1, "Acme")
    operator.writes(OTHER)
    assert await current.reload() is Reload.TAKEN
    assert (counted.now, named.now, ids(current)) == (2, "Blue", ["acme", "blue"])
    assert seen == [(1, old), (1, old)], "while the second was made, everything else was still of the first"


async def test_what_is_made_is_made_off_the_event_loop(operator: Operator) -> None:
    current = operator.starts()
    threads: list[int] = []
    current.derive(lambda _: threads.append(threading.get_ident()))
    operator.writes(OTHER)
    await current.reload()
    assert len(threads) == 2
    assert threads[0] == threading.get_ident() != threads[1]


async def test_the_version_is_of_the_content_and_the_same_in_every_process(operator: Operator, tmp_path: Path) -> None:
    elsewhere = Operator(tmp_path / "elsewhere")
    elsewhere.path.parent.mkdir()
    elsewhere.writes(GOOD)
    current = operator.starts()
    assert current.version == elsewhere.starts().version
    operator.writes(OTHER)
    await current.reload()
    assert current.version != elsewhere.starts().version


@pytest.mark.parametrize(
    "broken",
    [
        BROKEN,
        "",
        "brands: [",
        "\t",
        GOOD + GOOD,
        "rules: []\n",
        "brands: [{id: a, name: b}]\nrules: [{id: x, policy: y}]",
    ],
)
async def test_a_broken_file_changes_nothing_and_is_told_until_it_is_mended(operator: Operator, broken: str) -> None:
    current = operator.starts()
    told: list[Reload] = []
    current.after.append(told.append)
    before = current.version
    operator.writes(broken)
    assert await looked(current) == ["acme"]
    assert current.version == before
    assert current.refused is not None
    assert str(operator.path) in current.refused.mistakes[0]
    assert await looked(current, 3) == ["acme"]
    assert told == [Reload.REFUSED], "the same mistake is told once"
    operator.writes(OTHER)
    assert await looked(current) == ["acme", "blue"]
    assert current.refused is None
    assert told == [Reload.REFUSED, Reload.TAKEN]


async def test_a_file_that_is_put_back_is_mended_too(operator: Operator) -> None:
    current = operator.starts()
    operator.writes(BROKEN)
    await looked(current)
    since = current.refused.since if current.refused is not None else None
    operator.writes(BROKEN + "# another try\n")
    await looked(current)
    assert current.refused is not None
    assert current.refused.since == since, "it has been broken since the first try"
    operator.writes(GOOD)
    await looked(current)
    assert current.refused is None


async def test_what_cannot_be_made_of_a_configuration_refuses_it(operator: Operator) -> None:
    current = operator.starts()

    def only_one(config: Config) -> str:
        (brand,) = config.brands
        return brand.id

    one = current.derive(only_one)
    operator.writes(OTHER)
    assert await current.reload() is Reload.REFUSED
    assert (one.now, ids(current)) == ("acme", ["acme"])
    assert current.refused is not None
    assert "ValueError" in current.refused.mistakes[0]


async def test_a_file_that_is_being_written_is_not_taken(operator: Operator) -> None:
    current = operator.starts()
    operator.writes(OTHER)
    assert await looked(current, 1) == ["acme"]
    operator.writes(brands("acme", "blue", "coral"))
    assert await looked(current, 1) == ["acme"], "it changed again since the last look"
    operator.path.unlink()
    assert await looked(current, 1) == ["acme"]
    operator.writes(OTHER)
    assert await looked(current, 1) == ["acme"]
    assert current.refused is None
    assert await looked(current, 1) == ["acme", "blue"]


async def test_an_editor_that_renames_is_noticed(operator: Operator) -> None:
    current = operator.starts()
    beside = operator.path.with_suffix(".tmp")
    beside.write_text(OTHER)
    beside.replace(operator.path)
    assert await looked(current) == ["acme", "blue"]


async def test_a_file_of_the_same_size_and_age_is_noticed(operator: Operator) -> None:
    current = operator.starts()
    times = operator.path.stat()
    operator.writes(GOOD.replace("acme", "blue"))
    os.utime(operator.path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert operator.path.stat().st_size == times.st_size
    assert await looked(current) == ["blue"]


async def test_a_config_map_that_is_swapped_is_noticed(tmp_path: Path) -> None:
    """Kubernetes mounts `firebreak.yaml -> ..data/firebreak.yaml` and swaps the link `..data`."""
    operator = Operator(tmp_path)
    for name, text in (("..first", GOOD), ("..second", OTHER)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "firebreak.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..first")
    operator.path.symlink_to("..data/firebreak.yaml")
    current = operator.starts()
    assert ids(current) == ["acme"]
    (tmp_path / "..data_tmp").symlink_to("..second")
    (tmp_path / "..data_tmp").replace(tmp_path / "..data")
    assert await looked(current) == ["acme", "blue"]


async def test_a_restart_with_a_broken_file_runs_on_the_last_good_one_and_says_so(operator: Operator) -> None:
    current = operator.starts()
    operator.writes(OTHER)
    await current.reload()
    operator.writes(BROKEN)
    after = operator.starts()
    assert (ids(after), after.version) == (["acme", "blue"], current.version)
    assert after.refused is not None
    assert "brands.0.nmae" in "\n".join(after.refused.mistakes)
    assert await looked(after, 3) == ["acme", "blue"]
    operator.writes(brands("coral"))
    assert await looked(after) == ["coral"]
    assert after.refused is None


async def test_a_restart_without_the_file_runs_on_the_last_good_one(operator: Operator) -> None:
    operator.starts()
    operator.path.unlink()
    after = operator.starts()
    assert ids(after) == ["acme"]
    assert after.refused is not None
    assert "cannot be read" in after.refused.mistakes[0]
    operator.writes(GOOD)
    await looked(after)
    assert after.refused is None


def test_the_first_start_with_a_broken_file_fails_and_names_the_mistake(operator: Operator) -> None:
    operator.writes(BROKEN)
    with pytest.raises(ConfigError, match=r"firebreak\.yaml:1: brands\.0\.nmae"):
        operator.starts()
    assert not (operator.data / LAST_GOOD).exists()
    with pytest.raises(ConfigError, match=r"firebreak\.yaml:1: brands\.0\.nmae"):
        operator.starts()


def test_a_copy_that_this_release_cannot_take_either_is_no_help(operator: Operator) -> None:
    operator.starts()
    (operator.data / LAST_GOOD).write_text(BROKEN)
    operator.writes(BROKEN)
    with pytest.raises(ConfigError, match=r"firebreak\.yaml:1: brands\.0\.nmae"):
        operator.starts()


def test_the_copy_is_for_us_alone_and_leaves_nothing_beside_it(operator: Operator) -> None:
    before = os.umask(0)
    try:
        operator.starts()
        operator.writes(OTHER)
        operator.starts()
    finally:
        os.umask(before)
    assert [path.name for path in operator.data.iterdir()] == [LAST_GOOD]
    assert (operator.data / LAST_GOOD).read_text() == OTHER
    assert stat.S_IMODE((operator.data / LAST_GOOD).stat().st_mode) == 0o600
    assert stat.S_IMODE(operator.data.stat().st_mode) == 0o700


def test_a_folder_that_takes_no_copy_is_said_and_stops_nothing(
    operator: Operator, capsys: pytest.CaptureFixture[str]
) -> None:
    operator.data.write_text("a file, where the folder should be")
    assert ids(operator.starts()) == ["acme"]
    assert "last_good_configuration_not_kept" in capsys.readouterr().out


def test_a_file_beyond_all_measure_is_refused(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "MAX_BYTES", len(GOOD) - 1)
    with pytest.raises(ConfigError, match="larger than"):
        operator.starts()


async def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    end, start = os.pipe()
    os.write(start, GOOD.encode())
    os.close(start)
    piped = Operator(tmp_path)
    piped.path = Path(f"/dev/fd/{end}")
    current = piped.starts()
    os.close(end)
    assert await looked(current, 3) == ["acme"]
    assert await current.reload() is Reload.UNCHANGED
    assert current.refused is None


def test_what_was_kept_is_what_was_written(operator: Operator) -> None:
    operator.writes("# who answers\r\n" + GOOD + 'playbooks: {storm: "Füße ✓"}\n')
    operator.starts()
    kept = (operator.data / LAST_GOOD).read_bytes()
    assert kept == operator.path.read_bytes()
    assert read(kept.decode(), "kept").content["playbooks"]["storm"] == "Füße ✓"
