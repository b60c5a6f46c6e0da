"""Language tags are compared as BCP 47 means them, however networks and people spell them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.contracts.language_tags import is_language, language


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("en", "en"), ("EN-us", "en"), ("en_GB", "en"), ("eng", "en"), (" de-Latn-AT-1996 ", "de"), ("pt_BR.UTF-8", "pt"),
        ("iw", "he"), ("in-ID", "id"), ("ji", "yi"), ("jw", "jv"), ("mo", "ro"),
        ("nb-NO", "no"), ("nn", "no"), ("cmn-Hans", "zh"), ("zh-Hant-HK", "zh"), ("zh-yue", "yue"), ("yue", "yue"),
        ("zsm", "ms"), ("fil", "tl"), ("arb", "ar"), ("pes", "fa"), ("swh", "sw"), ("sr-Latn", "sr"),
        ("und", None), ("und-Latn", None), ("mul", None), ("zxx", None), ("qam", None), ("qme", None), ("art", None),
        ("x-klingon", None), ("i-default", None), ("", None), (None, None), ("-", None), ("english", None), ("12", None),
    ],
)  # fmt: skip
def test_a_tag_means_one_language_or_none(tag: str | None, code: str | None) -> None:
    assert language(tag) == code


@pytest.mark.parametrize(
    ("found", "wanted", "same"),
    [
        ("nb-NO", "no", True), ("no", "nb", True), ("tl-PH", "fil", True), ("yue-HK", "zh", True), ("zh-TW", "yue", False),
        ("pt-PT", "pt-BR", True), ("de", "nl", False), ("und", "und", False), (None, "en", False), ("in", "id", True),
    ],
)  # fmt: skip
def test_a_text_is_in_the_language_that_somebody_asked_for(found: str | None, wanted: str, same: bool) -> None:
    assert is_language(found, wanted) is same


@given(st.text(max_size=40))
def test_no_tag_breaks_the_comparison_and_case_and_separators_never_count(tag: str) -> None:
    code = language(tag)
    assert code is None or language(code) == code
    if tag.isascii():
        assert language(tag.upper()) == language(tag.replace("-", "_")) == code
