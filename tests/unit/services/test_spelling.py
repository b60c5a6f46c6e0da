"""The form in which names are compared, and the way back: every character of it knows where it comes from."""

# ruff: noqa: RUF001 - letters that look like others are what is tested

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import spelling
from services.contracts.letters import STACKING
from services.contracts.spelling import MOST_MARKS, few_marks, fold, origins, plain
from tests.growth import grows_no_faster

DISGUISES: list[tuple[str, str]] = [
    ("Macy’s", "macy's"), ("Macyʼs", "macy's"), ("Macy＇s", "macy's"), ("Macy`s", "macy's"), ("Macy´s", "macy's"),
    ("Coca‑Cola", "coca-cola"), ("Coca–Cola", "coca-cola"), ("Coca−Cola", "coca-cola"), ("Coca－Cola", "coca-cola"),
    ("Nestlé", "nestle"), ("NESTLE\u0301", "nestle"), ("Müller", "muller"), ("Łódź", "lodz"), ("Mærsk", "maersk"),
    ("Škoda", "skoda"),
    ("Løvenskiold", "lovenskiold"), ("ΝΕΣΤΛΈ", "νεστλε"), ("Straße", "strasse"), ("ŞİŞECAM", "sisecam"),
    ("𝐀𝐜𝐦𝐞", "acme"), ("𝓐𝓬𝓶𝓮", "acme"), ("𝔸𝕔𝕞𝕖", "acme"), ("ＡＣＭＥ", "acme"), ("ⒶⒸⓂⒺ", "acme"),
    ("🅰🅲🅼🅴", "acme"), ("🅐🅒🅜🅔", "acme"),
    ("ᴀᴄᴍᴇ", "acme"), ("ᵃᶜᵐᵉ", "acme"), ("A̶c̶m̶e̶", "acme"), ("A\u0323\u0301\u0302\u0303cme", "acme"),
    ("ac\u200bme", "acme"), ("ac\u2066me\u2069", "acme"), ("\u200facme", "acme"),
    ("ac\u00adme", "acme"), ("acme\U000e0061", "acme"),
    ("أَكْمي", "أكمي"), ("أكـمي", "أكمي"), ("שָׁלוֹם", "שלום"),
]  # fmt: skip
"""What is written, and what it is for whoever compares."""


@pytest.mark.parametrize(("written", "folded"), DISGUISES)
def test_a_disguise_changes_nothing(written: str, folded: str) -> None:
    assert fold(written) == folded


@pytest.mark.parametrize(
    ("one", "other"),
    [("й", "и"), ("が", "か"), ("पि", "पा"), ("ё", "е"), ("ї", "і"), ("กา", "กา่"), ("آب", "اب"), ("한", "하")],
)
def test_a_mark_that_makes_another_letter_stays(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_a_dash_between_clauses_is_no_hyphen() -> None:
    assert fold("never—again") == "never—again"


@pytest.mark.parametrize("written", ["Macy’s", "𝐀𝐜𝐦𝐞", "ＡＣＭＥ", "ac\u200bme", "Coca‑Cola", "Macy`s"])
def test_a_plain_text_has_no_disguises_left(written: str) -> None:
    assert plain(written).isascii()


@pytest.mark.parametrize(
    "written", ["Nestlé", "Straße", "й", "が", "👩\u200d🚒", "می\u200cخواهم", "♥\ufe0f", "A  B\nC"]
)
def test_a_plain_text_keeps_what_a_reader_reads(written: str) -> None:
    assert plain(written) == written


MIXED = st.text(
    alphabet=st.sampled_from(
        "aAß ﬁİıſŉΣς\t\n\u00a0\u3000\u00a8\u00b4½™㍿ガｶﾞﾟ\u3099\u0301\u0308\u0323\u0307\u0345\u200b\u200d\ufe0f\u00ad"
        "\u1100\u1161\u11a8가각힣ก\u0e33\u0e48\u09c7\u09be💥👩\U0001f1e6\U0001d11e@#ＡＣ"
    ),
    max_size=30,
) | st.text(max_size=40)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=50))
@settings(deadline=None, derandomize=True)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)


@given(st.text(alphabet=string.ascii_letters + " é", max_size=50))
@settings(deadline=None, derandomize=True)
def test_composed_and_decomposed_texts_fold_alike(text: str) -> None:
    assert fold(unicodedata.normalize("NFD", text)) == fold(unicodedata.normalize("NFC", text))


@given(MIXED)
@settings(deadline=None, derandomize=True, max_examples=1500)
def test_every_character_of_the_folded_form_has_an_origin_in_order(text: str) -> None:
    places = origins(text)
    assert len(places) == len(fold(text))
    assert all(0 <= start <= end <= len(text) for start, end in places)
    assert places == sorted(places)


@given(MIXED, st.data())
@settings(deadline=None, derandomize=True, max_examples=1500)
def test_what_stands_at_the_origin_folds_to_what_was_made_of_it(text: str, data: st.DataObject) -> None:
    folded, places = fold(text), origins(text)
    begins = [n for n in range(len(folded)) if folded[n] != " " and (n == 0 or places[n] != places[n - 1])]
    if not begins:
        return
    begin = data.draw(st.sampled_from(begins))
    ends = [
        n
        for n in range(begin + 1, len(folded) + 1)
        if folded[n - 1] != " " and (n == len(folded) or places[n] != places[n - 1])
    ]
    end = data.draw(st.sampled_from(ends))
    assert fold(text[places[begin][0] : places[end - 1][1]]) == folded[begin:end]


@pytest.mark.parametrize(
    ("text", "folded", "places"),
    [
        ("Ab c", "ab c", [(0, 1), (1, 2), (2, 3), (3, 4)]),
        ("a  \n b", "a b", [(0, 1), (1, 5), (5, 6)]),
        ("💥ａ", "💥a", [(0, 1), (1, 2)]),
        ("ße", "sse", [(0, 1), (0, 1), (1, 2)]),
        ("e\u0301x", "ex", [(0, 2), (2, 3)]),
        ("éx", "ex", [(0, 1), (1, 2)]),
        ("и\u0306x", "йx", [(0, 2), (2, 3)]),
        ("Mærsk", "maersk", [(0, 1), (1, 2), (1, 2), (2, 3), (3, 4), (4, 5)]),
        ("\u202eab", "ab", [(1, 2), (2, 3)]),
        ("Macy´s", "macy's", [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6)]),
        ("a\u200bb\u200b", "ab", [(0, 1), (2, 3)]),
        ("İx", "ix", [(0, 1), (1, 2)]),
        ("ｶﾞ", "ガ", [(0, 2)]),
        ("\u1112\u1161\u11ab", "한", [(0, 3)]),
        ("a\u00a8b", "a \u0308b", [(0, 1), (1, 1), (1, 2), (2, 3)]),
    ],
)
def test_origins_count_code_points_of_the_text_as_it_was_written(
    text: str, folded: str, places: list[tuple[int, int]]
) -> None:
    assert (fold(text), origins(text)) == (folded, places)


def test_a_character_that_joins_its_neighbour_against_expectation_makes_the_word_one_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spelling, "_attaches", lambda _: False)
    assert origins("so и\u0306x") == [(0, 1), (1, 2), (2, 3), (3, 6), (3, 6)]


HOSTILE = [
    "\u0323\u0301", "\u0301\u0323", "\u05b4\u05b0", "\u0f73", "\uff9e", "\u0344", "a\u0301\u0323", "\u1100",
    "\u1161", "가\u11a8",
    "\u200b", "\u200d👩", "ß", "ﷺ", "é", "’", "㍿", "İ", "\u00a8", "𝐀", "\u20dd", "и\u0306", " \u0301", "\U0001d15e",
]  # fmt: skip


@pytest.mark.parametrize("written", HOSTILE, ids=ascii)
@pytest.mark.parametrize("work", [fold, origins, plain], ids=["fold", "origins", "plain"])
def test_the_time_it_takes_grows_with_the_text_and_no_faster(work: Callable[[str], object], written: str) -> None:
    assert grows_no_faster(work, lambda size: "a" + written * (size // len(written)))


@pytest.mark.parametrize("written", HOSTILE, ids=ascii)
def test_a_tower_of_marks_is_cut_and_nothing_else(written: str) -> None:
    assert few_marks("x" + written * 5) == "x" + written * 5
    cut = few_marks("x" + written * 20_000)
    assert all(len(run) <= MOST_MARKS for run in re.findall(f"[{STACKING}]+", cut))
    assert [c for c in cut if c not in STACKING] == [c for c in "x" + written * 20_000 if c not in STACKING]
