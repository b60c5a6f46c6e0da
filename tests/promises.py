"""Keeps `PROMISES.md`, the list of all tests by name, so that none is lost: `python -m tests.promises` writes it anew.

Each line is one test with the number of its variants: as many as there were when the list was begun (`before`), and as many as
there are. A test that is gone has to be accounted for in `ACCOUNTS`, or the list is not written.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
LIST: Final = Path(__file__).with_name("PROMISES.md")
ACCOUNTS: Final = {
    "test_a_repeated_id_is_dropped_within_the_window_and_only_there": (
        "the window is a million ids in chunks: `test_the_oldest_are_forgotten_at_the_bound_and_this_is_said`"
    ),
    "test_an_odd_item_gets_its_error_and_loses_no_other": (
        "ten claims that cannot be are dropped: `test_a_post_is_read_without_the_claims_that_cannot_be`"
    ),
    "test_an_odd_single_post_gets_the_same_error": (
        "five claims that cannot be are dropped: `test_a_post_is_read_without_the_claims_that_cannot_be`"
    ),
    "test_a_bad_item_never_loses_others": (
        "broken characters in a text cost no post any more: `test_what_a_post_says_is_not_lost_for_a_broken_character`"
    ),
    "test_a_rule_groups_by_some_of_the_four_once_each_for_a_week_at_most": (
        "an empty list is no error any more: `test_to_group_by_nothing_is_not_to_group`"
    ),
    "test_everybody_was_told_before_it_is_too_late_if_a_minute_each_allows": (
        "a wait has a floor of its own now: `test_everybody_was_told_before_it_is_too_late_if_the_floors_allow`"
    ),
}
"""By the name of a test that is gone, or has fewer variants: what became of it. A test that only moved needs none."""
HEAD: Final = """# The promises

Each line is a test: its name is what it assures. The numbers count its variants, before the rooms were arranged anew and
now. A test checks that the names are those in the files, and that no variant is missing. `python -m tests.promises` writes
this list; what is gone is accounted for in `tests/promises.py`.
"""
TABLE: Final = "| test | before | now | what became of it |\n|---|---|---|---|"


class Promise(NamedTuple):
    """One test function, whatever its parameters."""

    file: str
    name: str


def collected(items: Iterable[pytest.Item]) -> Counter[Promise]:
    """The tests that pytest found, with the number of their variants."""
    found: Counter[Promise] = Counter()
    for item in items:
        file, *names = item.nodeid.partition("[")[0].split("::")
        found[Promise(file, "::".join(names))] += 1
    return found


def written() -> set[Promise]:
    """The tests as their files define them, by their syntax: nothing is imported, so this takes a moment."""
    return {
        Promise(path.relative_to(ROOT).as_posix(), name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in _defined(ast.parse(path.read_text(encoding="utf-8")))
    }


def _defined(module: ast.Module) -> Iterable[str]:
    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node.name
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute) and node.value.attr == "TestCase":
            # A state machine of hypothesis, as a test.
            yield from (f"{target.id}::runTest" for target in node.targets if isinstance(target, ast.Name))


class Listed(NamedTuple):
    """The list as it is in the file."""

    before: Counter[Promise]
    now: Counter[Promise]


def listed(text: str | None = None) -> Listed:
    before: Counter[Promise] = Counter()
    now: Counter[Promise] = Counter()
    file = ""
    for line in (LIST.read_text(encoding="utf-8") if text is None else text).splitlines():
        if line.startswith("## "):
            file = line.removeprefix("## ").strip("`")
        elif row := re.match(r"\| `([^`]+)` \| *(\d*) \| *(\d*) \|", line):
            name, *counts = row.groups()
            # A test that is gone is listed with its file, in a section of its own.
            promise = Promise(*name.split("::", 1)) if ".py::" in name else Promise(file, name)
            before[promise], now[promise] = (int(count or 0) for count in counts)
    return Listed(+before, +now)


def unaccounted(before: Mapping[Promise, int], now: Mapping[Promise, int]) -> list[str]:
    """The tests that are gone, or have fewer variants, and nobody says why."""
    left: Counter[str] = Counter()
    for promise, count in now.items():
        left[promise.name] += count
    were: Counter[str] = Counter()
    for promise, count in before.items():
        were[promise.name] += count
    return sorted(
        f"{name}: {left[name]} of {count} variants" for name, count in were.items() if left[name] < count
        if name not in ACCOUNTS
    )  # fmt: skip


def rendered(before: Mapping[Promise, int], now: Mapping[Promise, int]) -> str:
    moved: dict[str, list[Promise]] = defaultdict(list)
    for promise in before:
        if promise not in now:
            moved[promise.name].append(promise)
    lines, file = [HEAD], ""
    for promise in sorted(now):
        if promise.file != file:
            file = promise.file
            lines.append(f"\n## `{file}`\n\n{TABLE}")
        was = before.get(promise, 0)
        if not was and moved[promise.name]:
            was = before[moved[promise.name].pop()]
        lines.append(_row(promise.name, was, now[promise], promise.name))
    gone = sorted(promise for some in moved.values() for promise in some)
    if gone:
        lines.append(f"\n## Gone\n\n{TABLE}")
        lines += [_row("::".join(one), before[one], 0, one.name) for one in gone]
    return "\n".join(lines) + "\n"


def _row(what: str, was: int, now: int, name: str) -> str:
    counts = " | ".join(str(count) if count else "" for count in (was, now))
    return f"| `{what}` | {counts} | {ACCOUNTS.get(name, '')} |".replace("|  |", "| |")


class _Collector:
    def __init__(self) -> None:
        self.found: Counter[Promise] = Counter()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.found = collected(session.items)


def main() -> int:
    collector = _Collector()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-qq"], [collector])
    if code:
        print(said.getvalue())
        return int(code)
    before = listed().before
    if lost := unaccounted(before, collector.found):
        print("accounted for by nobody, see ACCOUNTS in tests/promises.py:", *lost, sep="\n  ", file=sys.stderr)
        return 1
    LIST.write_text(rendered(before, collector.found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
