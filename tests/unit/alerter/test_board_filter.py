"""A view of the board is a link: what its address asks for, it writes again."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest

from alerter.api.incident_filter import StateSet
from alerter.api.problems import Problem
from alerter.console import board_filter
from alerter.console.board_filter import BoardFilter


def read(query: str) -> BoardFilter:
    return board_filter.read(parse_qsl(query, keep_blank_values=True), "Jo Li (night-shift)")


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=smoke+cabin",
        "state=over",
        "state=prior&state=easing",
        "severity=1&severity=2",
        "brand=acme&network=x&language=ms&label=vip",
        "mine=1",
        "free=1&told-nobody=1",
        "q=%E7%83%9F%26%3D&severity=1&brand=acme&free=1&from=30",
    ],
)
def test_a_view_is_a_link(query: str) -> None:
    asked = read(query)
    assert asked.query(asked.first) == query
    assert asked.is_plain is (query == "")


def test_fields_that_nobody_filled_in_filter_nothing() -> None:
    assert read("q=&brand=&network=&language=&severity=&state=open&from=0") == BoardFilter()


def test_mine_is_what_i_took_here_or_by_the_phone() -> None:
    assert read("mine=1").asked.holders == {"Jo Li (night-shift)", "Jo Li"}


@pytest.mark.parametrize("query", ["state=closed", "severity=0", "severity=5", "severity=x", "from=-1", "from=1e9"])
def test_what_cannot_be_asked_for_is_no_page(query: str) -> None:
    with pytest.raises(Problem) as error:
        read(query)
    assert error.value.status == 404


def test_open_is_what_is_asked_for_where_nothing_else_is() -> None:
    assert read("q=smoke").asked.states == (StateSet.OPEN,)
