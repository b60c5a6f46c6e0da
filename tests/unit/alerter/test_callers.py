"""Who may do what, and who sees what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from alerter.api.auth import Caller, check_root_key, digest, root_caller
from alerter.api.scopes import Scope
from services.base.errors import ConfigError

BRANDS = st.frozensets(st.sampled_from("abcd"), max_size=4)


def test_each_scope_includes_those_before_it() -> None:
    scopes = list(Scope)
    for rank, scope in enumerate(scopes):
        assert [s for s in scopes if Caller("x", scope).may(s)] == scopes[: rank + 1]


@given(BRANDS.filter(bool), BRANDS)
def test_what_a_caller_covers_is_what_it_sees_of_every_brand(mine: frozenset[str], brands: frozenset[str]) -> None:
    caller = Caller("x", Scope.READ, mine)
    assert caller.covers(brands) == (bool(brands) and all(caller.sees(b) for b in brands))
    assert Caller("x", Scope.READ).covers(brands)


@pytest.mark.parametrize("given_key", ["", "k", "right-keyx", "\u00ff", "right-key\0"])
def test_no_other_key_is_the_settings_key(given_key: str) -> None:
    right: Any = SecretStr("right-key")
    assert root_caller(digest(given_key), right) is None
    assert root_caller(digest(given_key), None) is None
    assert root_caller(digest(""), SecretStr("")) is None
    assert root_caller(digest("right-key"), right) == Caller("admin", Scope.ADMIN)


@pytest.mark.parametrize("key", ["pw-1", "nineteen characters", "k" * 19, "a key with spaces in it", "schlüssel" * 3])
def test_an_admin_key_that_can_be_guessed_or_not_be_sent_stops_the_start(key: str) -> None:
    with pytest.raises(ConfigError, match="FIREBREAK_ADMIN_KEY: ") as caught:
        check_root_key(SecretStr(key))
    assert key not in str(caught.value)


@pytest.mark.parametrize("key", [None, "", "k" * 20, "Zm9vYmFyYmF6cXV4LV8_~!"])
def test_no_admin_key_or_a_long_one_is_taken(key: str | None) -> None:
    check_root_key(None if key is None else SecretStr(key))
