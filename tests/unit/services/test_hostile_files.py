"""A file that is small as a text and large in memory is refused with the line where it becomes too much, by every reader."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scorer import history
from scorer.backtest import recorded
from services.base.errors import ConfigError, FirebreakError
from services.config import loading, yaml_bounds
from services.config.yaml_reading import read
from services.tools.drills import replay, script


def multiplied(repeat: str, first: str = "[x, x]") -> str:
    """Twelve lines, each of which repeats the one before ten times."""
    repeated = (repeat.replace("?", ", ".join([f"*a{n - 1}"] * 10)) for n in range(1, 12))
    return "\n".join([f"a0: &a0 {first}", *(f"a{n}: &a{n} {line}" for n, line in enumerate(repeated, 1))])


LAUGHS = {
    "lists of aliases": multiplied("[?]"),
    "merges of merges": multiplied("{<<: [?]}", "{k: v}"),
    "mappings of aliases": multiplied("{a: [?], b: [?]}"),
}
DEEP = {
    "lists": "a: " + "[" * 5000 + "]" * 5000,
    "lists without an end": "a: " + "[" * 500_000,
    "mappings": "{a: " * 5000 + "1" + "}" * 5000,
    "block lists": "- " * 5000 + "a",
    "block mappings": "\n".join(" " * n + "a:" for n in range(2000)),
    "keys": "? " * 5000 + "a",
    "aliases of what is deep": "a0: &a0 [x]\n"
    + "\n".join(f"a{n}: &a{n} {'[' * 20}*a{n - 1}{']' * 20}" for n in range(1, 300)),
}
ENDLESS = {"a list": "a: &a [*a]", "a mapping": "a: &a {b: *a}", "a merge": "a: &a\n  <<: *a", "a key": "&a {*a : b}"}
ODD = {
    "a huge number": "a: 1\nb: " + "9" * 10_000,
    "no date": "a: 1\nb: !!timestamp soon",
    "no truth": "a: 1\nb: !!bool maybe",
    "no number": "a: 1\nb: !!float x",
    "a program": "a: 1\nb: !!python/object/apply:os.system [echo]",
    "a control character": "a: 1\nb: \x07",
    "a list as a key": "a: 1\n[b]: 2",
    "another document": "a: 1\n---\nb: 2",
    "no anchor": "a: 1\nb: *nobody",
    "a key twice": "a: 1\na: 2",
}


@pytest.mark.parametrize("laughs", LAUGHS.values(), ids=LAUGHS)
def test_a_billion_laughs_are_refused_at_the_line_of_the_first_too_many(laughs: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml:[4-7]: more than 500,000 values"):
        read(laughs, "my.yaml")


@pytest.mark.parametrize("deep", DEEP.values(), ids=DEEP)
def test_what_is_nested_too_deeply_is_refused_at_its_line(deep: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml:[0-9]+: nested more than 50 levels deep$"):
        read(deep, "my.yaml")


@pytest.mark.parametrize("endless", ENDLESS.values(), ids=ENDLESS)
def test_what_contains_itself_is_refused_at_its_line(endless: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml:[12]: \*a stands inside of what it repeats$"):
        read(endless, "my.yaml")


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_whatever_cannot_be_read_is_refused_at_its_line_and_never_run(odd: str) -> None:
    with pytest.raises(ConfigError, match=r"^my\.yaml:2: ") as caught:
        read(odd, "my.yaml")
    assert len(str(caught.value)) < 200


def test_what_a_configuration_really_repeats_is_read() -> None:
    text = "a: &a {k: [1, 2]}\nb: *a\nc:\n  <<: *a\n  m: 1\nd: &b later\ne: *b"
    known = {"k": [1, 2]}
    assert read(text, "f").content == {"a": known, "b": known, "c": {**known, "m": 1}, "d": "later", "e": "later"}
    names = "\n".join(f"b{n}: [{', '.join(['name'] * 50)}]" for n in range(1000))
    assert len(read(names, "f").content) == 1000


def test_a_text_beyond_all_measure_is_not_even_parsed() -> None:
    with pytest.raises(ConfigError, match=r"^f:1: more than 10,000,000 characters"):
        read(" " * (yaml_bounds.MAX_CHARS + 1), "f")


def over(path: Path) -> object:
    return loading.over(path, loading.parse("brands: [{id: acme, name: Acme}]"))


@pytest.mark.parametrize("load", [loading.load, script.load, over])
@pytest.mark.parametrize("text", [LAUGHS["lists of aliases"], DEEP["lists"], ENDLESS["a list"], *ODD.values()])
def test_every_reader_of_yaml_refuses_it_alike(load: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"my\.yaml:[0-9]+: "):
        load(path)


def test_the_command_that_tries_rules_says_it_in_a_line(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(DEEP["lists"], encoding="utf-8")
    command = [sys.executable, "-m", "services", "rules", "try", str(rules)]
    answer = subprocess.run(command, capture_output=True, text=True, cwd=Path.cwd(), check=False)
    assert answer.returncode != 0
    assert "rules.yaml:1: nested more than 50 levels deep" in answer.stderr + answer.stdout
    assert "Traceback" not in answer.stderr


def _posts(path: Path) -> object:
    return replay.read(path, None, "acme")


def _counts(path: Path) -> object:
    return history.read(path, {"acme"})


def _recorded(path: Path) -> object:
    return list(recorded.read([path]))


@pytest.mark.parametrize("load", [_posts, _recorded, _counts])
@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, '{"size": ' + "9" * 10_000 + "}"])
def test_a_line_of_json_that_is_too_deep_or_too_long_a_number_is_refused_at_its_line(
    load: Callable[[Path], object], line: str, tmp_path: Path
) -> None:
    path = tmp_path / "posts.ndjson"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(FirebreakError, match=r"posts\.ndjson(:|, line )1: "):
        load(path)
