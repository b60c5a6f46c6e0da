"""No test is lost: the list of them names those that there are, and says what became of those that are gone."""

from __future__ import annotations

import pytest

from tests.promises import Promise, collected, listed, rendered, unaccounted, written

AGAIN = "run: python -m tests.promises"


def test_the_list_names_the_tests_that_there_are() -> None:
    assert set(listed().now) == written(), AGAIN


def test_what_is_gone_is_accounted_for() -> None:
    assert unaccounted(*listed()) == []


def test_no_variant_is_missing(request: pytest.FixtureRequest) -> None:
    """Of the files that were asked for."""
    option, words = request.config.option, request.config.args
    if option.keyword or option.markexpr or any("::" in word for word in words):
        pytest.skip("a part of a file was asked for")
    found = collected(request.session.items)
    files = {promise.file for promise in found}
    now = listed().now
    missing = [promise for promise in now if promise.file in files and found[promise] < now[promise]]
    assert missing == [], AGAIN


def test_a_test_that_only_moved_keeps_its_number_and_one_that_is_gone_is_missed() -> None:
    before = {Promise("tests/a.py", "test_x"): 3, Promise("tests/a.py", "test_y"): 1}
    now = {Promise("tests/b.py", "test_x"): 2, Promise("tests/b.py", "test_z"): 1}
    assert unaccounted(before, now) == ["test_x: 2 of 3 variants", "test_y: 0 of 1 variants"]
    again = listed(rendered(before, now))
    assert again.now == now
    assert again.before == {Promise("tests/b.py", "test_x"): 3, Promise("tests/a.py", "test_y"): 1}
