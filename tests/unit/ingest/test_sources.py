"""The parts of a source that need no network: purses, secrets, mappings, files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.sources.base import Away, Cursor, SourceContext
from ingest.sources.drop import Drop, build
from ingest.sources.mapping import items_of
from ingest.sources.purse import Purse
from ingest.sources.secrets import secrets_of
from ingest.sources.state import OpenGap, SourceState, Spent, decode_state, encode_state
from services.base.clock import ManualClock
from services.base.errors import ConfigError, Damaged
from services.config.connectors.base import Spending
from services.config.connectors.drop import DropSection
from services.config.connectors.mapped import Mapping as Mapped

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def test_a_purse_never_lets_a_call_pass_its_budget_and_fills_with_the_utc_day() -> None:
    clock = ManualClock(NOON)
    purse = Purse(Spending(day_dollars=1, month_dollars=1.5), clock)
    assert purse.may(1.0)
    purse.paid(0.9)
    assert not purse.may(0.2)
    assert purse.why_empty == "the budget of the day (1 dollars) is spent"
    clock.advance(12 * 3600)
    assert purse.may(0.6)
    purse.paid(0.6)
    assert purse.why_empty is None
    assert not purse.may(0.1)
    assert purse.why_empty == "the budget of the month (1.5 dollars) is spent"
    assert purse.refills_at() == datetime(2026, 6, 1, tzinfo=UTC)


def test_a_purse_goes_on_counting_where_another_holder_stopped() -> None:
    clock = ManualClock(NOON)
    purse = Purse(Spending(day_dollars=1), clock, Spent("2026-05-01", 0.9, 3.0))
    assert not purse.may(0.2)
    clock.advance(24 * 3600)
    assert purse.spent == Spent("2026-05-02", 0.0, 3.0)


def test_a_purse_says_what_share_is_affordable_before_it_is_empty() -> None:
    clock = ManualClock(NOON)
    purse = Purse(Spending(day_dollars=10), clock)
    assert purse.share() == 1.0
    purse.paid(8)
    assert purse.share() == pytest.approx(0.25), "twice as fast as the budget, and half the day is left"
    assert Purse(Spending(), clock).share() == 1.0
    assert Purse(Spending(day_dollars=0), clock).share() == 0.0


@given(st.lists(st.floats(0.001, 1), max_size=60), st.floats(0, 5), st.floats(0, 20))
def test_who_asks_before_paying_is_never_over_budget(prices: list[float], day: float, month: float) -> None:
    clock = ManualClock(NOON)
    purse = Purse(Spending(day_dollars=day, month_dollars=month), clock)
    for price in prices:
        if purse.may(price):
            purse.paid(price)
        assert purse.spent.today <= day + 1e-9
        assert purse.spent.this_month <= month + 1e-9
        clock.advance(7200)


def test_secrets_are_those_of_this_source_alone(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from a file\n")
    environ = {
        "FIREBREAK_SOURCE_X_TOKEN": "one",
        "FIREBREAK_SOURCE_X_EU_TOKEN": "two",
        "FIREBREAK_SOURCE_X_KEY_FILE": str(file),
        "FIREBREAK_SOURCE_X_EMPTY": "",
        "OTHER": "three",
    }
    assert secrets_of("x", ("x", "x-eu"), environ) == {"token": "one", "key": "from a file"}
    assert secrets_of("x-eu", ("x", "x-eu"), environ) == {"token": "two"}
    with pytest.raises(ConfigError, match="FIREBREAK_SOURCE_X_KEY_FILE") as caught:
        secrets_of("x", ("x",), {"FIREBREAK_SOURCE_X_KEY_FILE": str(tmp_path / "secret-name")})
    assert "secret-name" not in str(caught.value)


def test_a_state_is_read_as_it_was_written_and_damage_is_no_new_beginning() -> None:
    state = SourceState(
        "x", Cursor("here", "5", NOON), NOON, NOON, None, OpenGap(NOON, "away", 3), Spent("2026-05-01", 1, 2)
    )
    assert decode_state("x", encode_state(state)) == state
    for value in (b"{", b'{"version":9}', encode_state(replace(state, version=2))):
        with pytest.raises(Damaged, match="'x'"):
            decode_state("x", value)


def test_a_mapping_finds_fields_where_they_stand() -> None:
    mapping = Mapped(
        fields={
            "post_id": "id",
            "text": "body.text",
            "author.id": "user.id",
            "author.followers": "user.fans",
            "brands": "about",
            "backfill": "old",
        },
        items="data[]",
        always={"kind": "reply"},
    )
    document = {
        "data": [{"id": 5, "body": {"text": "hi"}, "user": {"id": 7, "fans": "12"}, "about": "a, b", "old": "no"}, {}]
    }
    assert items_of(document, mapping, "vendor") == [
        {
            "post_id": "5",
            "text": "hi",
            "author": {"id": "7", "followers": 12},
            "brands": ["a", "b"],
            "backfill": False,
            "kind": "reply",
            "network": "vendor",
        },
        {"kind": "reply", "network": "vendor"},
    ]
    with pytest.raises(ValueError, match="expected an object"):
        items_of([1], Mapped(), "vendor")


class Folder:
    """A folder that is read by a `Drop`, look by look."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.path = path
        self.clock = ManualClock(datetime.now(UTC))
        self.options = DropSection(kind="drop", name="in", folder=str(path), **options)
        self.cursor: Cursor | None = None

    @property
    def drop(self) -> Drop:
        spend: Any = None
        return build(SourceContext("vendor", self.options, (), {}, self.clock, httpx2.AsyncClient(), spend))

    async def look(self, drop: Drop | None = None) -> list[Mapping[str, Any]]:
        """What one round finds, from the cursor on."""
        found: list[Mapping[str, Any]] = []
        stream = (drop or self.drop).listen(self.cursor)
        async for heard in stream:
            self.cursor = heard.cursor
            found += heard.items
            if not heard.items:
                break
        await stream.aclose()  # type: ignore[attr-defined]
        return found


def line(number: int) -> str:
    return json.dumps({"post_id": str(number), "text": "x"}) + "\n"


async def test_files_are_read_from_where_they_were_left_and_half_a_line_is_waited_for(tmp_path: Path) -> None:
    folder, file = Folder(tmp_path), tmp_path / "a.ndjson"
    file.write_text(line(1) + line(2)[:5])
    assert [item["post_id"] for item in await folder.look()] == ["1"]
    assert await folder.look() == []
    with file.open("a") as more:
        more.write(line(2)[5:] + line(3))
    (tmp_path / ".hidden.ndjson").write_text(line(9))
    (tmp_path / "other.txt").write_text(line(9))
    assert [item["post_id"] for item in await folder.look()] == ["2", "3"]
    file.write_text(line(4))
    assert [item["post_id"] for item in await folder.look()] == ["4"], "a file that became shorter is another one"


async def test_a_last_line_without_an_end_is_taken_when_the_file_has_settled(tmp_path: Path) -> None:
    folder = Folder(tmp_path, settled_seconds=30)
    (tmp_path / "a.ndjson").write_text(line(1).rstrip())
    drop = folder.drop
    assert await folder.look(drop) == []
    folder.clock.advance(31)
    assert [item["post_id"] for item in await folder.look(drop)] == ["1"]


async def test_csv_has_lines_within_quotes_and_names_its_columns(tmp_path: Path) -> None:
    mapping = {"fields": {"post_id": "id", "text": '"Review text"'}}
    folder = Folder(tmp_path, files="*.csv", format="csv", delimiter=";", mapping=mapping)
    file = tmp_path / "a.csv"
    file.write_text('\ufeffid;Review text\r\n1;"late; ""very""\r\nlate"\r\n2;"half')
    assert [item["text"] for item in await folder.look()] == ['late; "very"\r\nlate']
    with file.open("a", newline="") as more:
        more.write(' done"\r\n')
    assert [(item["post_id"], item["text"]) for item in await folder.look()] == [("2", "half done")]


async def test_a_file_that_was_copied_with_its_old_time_is_read(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    (tmp_path / "b.ndjson").write_text(line(1))
    await folder.look()
    old = tmp_path / "a.ndjson"
    old.write_text(line(2))
    os.utime(old, (1, 1))
    assert [item["post_id"] for item in await folder.look()] == ["2"]


async def test_the_cursor_of_a_folder_with_many_files_stays_small_and_forgets_none(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for number in range(600):
        (tmp_path / f"{number}.ndjson").write_text(line(number))
    assert len(await folder.look()) == 600
    assert folder.cursor is not None
    assert len(folder.cursor.position) < 8000
    assert await folder.look() == []
    (tmp_path / "new.ndjson").write_text(line(601))
    assert [item["post_id"] for item in await folder.look()] == ["601"]


async def test_garbage_is_a_bad_item_and_a_missing_folder_is_away(tmp_path: Path) -> None:
    folder, file = Folder(tmp_path / "in"), tmp_path / "in" / "a.ndjson"
    with pytest.raises(Away, match="the folder cannot be read"):
        await folder.look()
    file.parent.mkdir()
    file.write_bytes(b"{\n\xff\xfe\n[1]\n" + b"[" * 100_000 + b"\n" + line(1).encode())
    found = await folder.look()
    assert [item["post_id"] for item in found] == ["", "", "", "", "1"]
