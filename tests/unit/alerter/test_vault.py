"""What lies encrypted can be read with any of the keys, is written with the newest, and is never mistaken."""

from __future__ import annotations

import base64
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.store.vault import SEALED, Locked, Vault
from services.base.errors import ConfigError

OLD: Final = base64.b64encode(bytes(32)).decode()
NEW: Final = base64.b64encode(bytes(range(224, 256))).decode()


@given(st.text())
def test_whatever_is_sealed_is_opened_with_a_key_and_without(value: str) -> None:
    for keys in ("", OLD, f"{NEW},{OLD}"):
        vault = Vault(keys)
        stored = vault.seal(value)
        assert vault.open(stored) == value
        assert vault.is_up_to_date(stored)
        assert stored.startswith(SEALED) == bool(keys)


@pytest.mark.parametrize("value", ["sealed:1:gAAAA", "plain:x", "plain:sealed:1:", "sealed:2:"])
def test_a_value_that_looks_like_ours_stays_what_it_is(value: str) -> None:
    for keys in ("", OLD):
        vault = Vault(keys)
        assert vault.open(vault.seal(value)) == value


def test_the_newest_key_writes_and_all_of_them_read() -> None:
    stored = Vault(OLD).seal("whsec_x")
    both = Vault(f" {NEW} , {OLD},")
    assert both.open(stored) == "whsec_x"
    assert not both.is_up_to_date(stored)
    assert not both.is_up_to_date("whsec_x"), "from before there was a key"
    assert Vault(NEW).open(both.seal("whsec_x")) == "whsec_x"


@pytest.mark.parametrize("keys", ["", NEW])
def test_what_no_key_opens_is_an_error_and_not_a_value(keys: str) -> None:
    stored = Vault(OLD).seal("whsec_x")
    broken = stored[:-6] + "AAAAAA"
    for vault, value in ((Vault(keys), stored), (Vault(OLD), broken), (Vault(OLD), SEALED), (Vault(OLD), SEALED + "é")):
        with pytest.raises(Locked) as raised:
            vault.open(value)
        assert "FIREBREAK_SECRET_KEYS" in str(raised.value)


def test_a_value_is_decrypted_once_however_often_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    vault = Vault(OLD)
    stored = vault.seal("https://hooks.example/T0KEN")
    decrypted: list[Any] = []
    real = vault._fernet.decrypt  # type: ignore[union-attr]

    def counted(token: bytes) -> bytes:
        decrypted.append(token)
        return real(token)

    monkeypatch.setattr(vault._fernet, "decrypt", counted)
    assert {vault.open(stored) for _ in range(1000)} == {"https://hooks.example/T0KEN"}
    assert len(decrypted) == 1


@pytest.mark.parametrize(
    "key",
    ["short", OLD[:-4], OLD + "AAAA", "x" * 44, "pass phrase of more than thirty-two characters", "é" * 44, "0" * 64],
)
def test_a_malformed_key_is_refused_without_being_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Vault(f"{OLD},{key}")
    assert key not in str(raised.value)
    assert "key 2" in str(raised.value)
    assert "openssl rand -base64 32" in str(raised.value)


def test_both_alphabets_of_base64_are_read() -> None:
    assert set(NEW) & set("+/")
    assert Vault(NEW.translate(str.maketrans("+/", "-_"))).open(Vault(NEW).seal("x")) == "x"
