"""Foreign text turns nothing of ours around, and loses no letter."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.normalize import _without_at
from services.contracts.direction import TURNING, isolated, settled, shown_name

TURNS = [
    chr(point)
    for point in range(0x110000)
    if unicodedata.bidirectional(chr(point))
    in {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
        "FSI",
        "PDI",
    }
]
PEACE = "\u05e9\u05dc\u05d5\u05dd"
FROM_RIGHT = [chr(p) for p in range(0x110000) if unicodedata.bidirectional(chr(p)) in {"R", "AL"} and chr(p).isalpha()]


def test_every_character_that_turns_text_around_is_known_and_taken_out() -> None:
    assert set(TURNS) == set(map(chr, TURNING))
    assert settled("a" + "".join(TURNS) + "b") == "ab"


def test_every_letter_that_runs_from_right_to_left_is_set_apart() -> None:
    for letter in FROM_RIGHT:
        assert isolated(f"a {letter} 12") == f"a \u2068{letter}\u2069 12", hex(ord(letter))


def test_what_stands_between_such_letters_goes_with_them_and_every_line_is_by_itself() -> None:
    assert isolated(f"by {PEACE}, {PEACE} 12\nand {PEACE}!") == (
        f"by \u2068{PEACE}, {PEACE}\u2069 12\nand \u2068{PEACE}\u2069!"
    )
    assert isolated(f"{PEACE} wrote {PEACE}") == f"\u2068{PEACE}\u2069 wrote \u2068{PEACE}\u2069"
    assert isolated("plain, 12 likes") == "plain, 12 likes"


@given(st.text())
def test_isolates_are_closed_on_their_line_and_no_letter_is_lost(text: str) -> None:
    for line in isolated(text).split("\n"):
        assert line.count("\u2068") == line.count("\u2069")
        depth = 0
        for char in line:
            depth += (char == "\u2068") - (char == "\u2069")
            assert 0 <= depth <= 1
    assert settled(isolated(text)) == settled(text)


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200e", "\u061c", "\u200b", "\ufeff", "\u00ad", "\u2028", "\U000e0041"]
)
def test_a_character_that_nobody_sees_makes_no_handle_that_of_another(hidden: str) -> None:
    shown = _without_at(f"@acme{hidden}air")
    assert shown == "acme\ufffdair"
    assert _without_at(f"{hidden}@acmeair") != "acmeair"


@pytest.mark.parametrize(
    "name",
    [
        "jane",
        "@jane.example",
        "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        PEACE,
        "👩\u200d🚒 Ida",
        "O'Neil",
    ],
)
def test_a_name_that_people_really_have_stays_as_it_is(name: str) -> None:
    assert shown_name(name) == name
