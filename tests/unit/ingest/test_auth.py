"""Who may post, and that keys stay secret."""

from __future__ import annotations

import pytest
import structlog
from pydantic import SecretStr

from ingest.auth import ApiKeys
from services.base.errors import ConfigError

KEY = "a-long-and-secret-key"
OTHER = "another:long-key,of".replace(",", ";")


def keys(text: str) -> ApiKeys:
    return ApiKeys(SecretStr(text))


def test_a_configured_key_is_known_by_its_name() -> None:
    known = keys(f" feed:{KEY}, other:{OTHER} ,")
    assert known.names == ("feed", "other")
    assert known.name_of(f"Bearer {KEY}") == "feed"
    assert known.name_of(f"bearer  {OTHER}") == "other"


@pytest.mark.parametrize(
    "header", [None, "", KEY, f"Basic {KEY}", "Bearer", "Bearer ", f"Bearer {KEY}x", "Bearer \u20ac"]
)
def test_anything_else_is_nobody(header: str | None) -> None:
    assert keys(f"feed:{KEY}").name_of(header) is None


def test_a_key_beyond_ascii_works() -> None:
    key = "schl\u00fcssel-mit-umlaut"
    assert keys(f"feed:{key}").name_of("Bearer " + key.encode().decode("latin-1")) == "feed"


def test_without_a_key_everybody_is_refused_and_the_log_says_so() -> None:
    with structlog.testing.capture_logs() as lines:
        closed = keys("")
    assert closed.name_of(f"Bearer {KEY}") is None
    assert closed.name_of("Bearer ") is None
    assert [line["event"] for line in lines] == ["ingest_is_closed"]


@pytest.mark.parametrize(
    "text",
    [
        "feed:short",
        KEY,
        f":{KEY}",
        f"a b:{KEY}",
        f"feed:{KEY},feed:{OTHER}",
        f"feed:{KEY},other:{KEY}",
        f"feed:{'k' * 15}",
    ],
)
def test_keys_that_cannot_be_used_stop_the_start_and_stay_secret(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        keys(text)
    assert "FIREBREAK_API_KEYS" in str(caught.value)
    for secret in (KEY, OTHER, "short", "k" * 15):
        assert secret not in str(caught.value).replace("too short", "")


def test_memory_holds_no_key() -> None:
    known = keys(f"feed:{KEY}")
    assert KEY not in repr(known)
    assert KEY.encode() not in known._hashes["feed"]
    assert KEY not in repr(vars(known))
