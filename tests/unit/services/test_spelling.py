"""The form in which names are compared, and the way back: every character of it knows where it comes from."""

# ruff: noqa: RUF001 - letters that look like others are what is tested

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import spelling
from services.contracts.spelling import fold, origins

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
        ("e\u0301x", "éx", [(0, 2), (2, 3)]),
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
    assert origins("so e\u0301x") == [(0, 1), (1, 2), (2, 3), (3, 6), (3, 6)]
