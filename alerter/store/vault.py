"""Column types whose values lie encrypted in the database: the URLs, options and secrets of endpoints, and our own keys.

The keys come from `FIREBREAK_SECRET_KEYS`, the newest first: it encrypts, and all of them decrypt. They belong to an engine,
so that whoever reads or writes a row needs to know nothing of them. Each value is decrypted once and then remembered. Without
a key values are stored as they are. A value that no key opens raises `Locked`: it is never taken for a URL or a secret.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Engine, LargeBinary, Text, TypeDecorator

from services.base.errors import ConfigError
from services.base.settings import Settings

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

SETTING: Final = "FIREBREAK_SECRET_KEYS"
SEALED: Final = "sealed:1:"
"""Begins an encrypted value; the Fernet token follows."""
PLAIN: Final = "plain:"
"""Begins a value that is not encrypted, and that would be mistaken for one of ours without it."""
KEY_BYTES: Final = 32
MOST_REMEMBERED: Final = 65_536
"""Decrypted values in memory: those of some 20,000 endpoints."""


class Locked(ConfigError):
    """A value in the database is encrypted with a key that we were not given."""


class Vault:
    """Seals and opens values. `keys` are as in the setting, the newest first. Raises `ConfigError` if one is malformed."""

    def __init__(self, keys: str = "") -> None:
        self._keys = [_key(text.strip(), number) for number, text in enumerate(keys.split(","), 1) if text.strip()]
        self._fernet = _fernet(self._keys)
        self._newest = _fernet(self._keys[:1])
        self.open: Callable[[str], str] = lru_cache(MOST_REMEMBERED)(self._open)
        """Returns what was sealed. Raises `Locked` if no key opens it."""

    @classmethod
    def from_settings(cls, settings: Settings) -> Vault:
        return cls(settings.secret_keys.get_secret_value() if settings.secret_keys is not None else "")

    @property
    def has_key(self) -> bool:
        return self._fernet is not None

    def seal(self, value: str) -> str:
        """Returns what is to be stored: encrypted with the newest key, or as it is if there is none."""
        if self._fernet is None:
            return PLAIN + value if value.startswith((SEALED, PLAIN)) else value
        return SEALED + self._fernet.encrypt(value.encode("utf-8", "surrogatepass")).decode()

    def is_up_to_date(self, stored: str) -> bool:
        """Returns True if this is how `seal` would store it now."""
        if self._newest is None:
            return not stored.startswith(SEALED)
        return stored.startswith(SEALED) and _decrypted(self._newest, stored) is not None

    def _open(self, stored: str) -> str:
        if not stored.startswith(SEALED):
            return stored.removeprefix(PLAIN)
        opened = None if self._fernet is None else _decrypted(self._fernet, stored)
        if opened is None:
            raise Locked(f"a secret in the database is encrypted, and no key in {SETTING} opens it")
        return opened


def _key(text: str, number: int) -> bytes:
    """Returns the key in the form that Fernet wants. The message never contains it."""
    try:
        key = base64.b64decode(text.translate(_STANDARD), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{SETTING}: key {number} is not {KEY_BYTES} bytes in base64. `openssl rand -base64 {KEY_BYTES}` makes one"
        )
    return base64.urlsafe_b64encode(key)


_STANDARD: Final = str.maketrans("-_", "+/")


def _fernet(keys: Sequence[bytes]) -> MultiFernet | None:
    if not keys:
        return None
    from cryptography.fernet import Fernet, MultiFernet  # who has no key need not wait for the import

    return MultiFernet([Fernet(key) for key in keys])


def _decrypted(fernet: MultiFernet, stored: str) -> str | None:
    from cryptography.fernet import InvalidToken

    try:
        return fernet.decrypt(stored.removeprefix(SEALED).encode()).decode("utf-8", "surrogatepass")
    except InvalidToken:
        return None


_vaults: WeakKeyDictionary[Dialect, Vault] = WeakKeyDictionary()
_NO_KEY: Final = Vault()


def lend(engine: Engine, vault: Vault) -> None:
    """Let this engine's statements seal and open values with these keys."""
    _vaults[engine.dialect] = vault


class Sealed(TypeDecorator[str]):
    """Text that lies encrypted in the database. It cannot be compared there: each encryption of a value differs."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _vaults.get(dialect, _NO_KEY).seal(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> str | None:
        return None if value is None else _vaults.get(dialect, _NO_KEY).open(value)


class SealedBytes(TypeDecorator[bytes]):
    """Bytes that lie encrypted in the database."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> bytes | None:
        vault = _vaults.get(dialect, _NO_KEY)
        return value if value is None or not vault.has_key else vault.seal(value.hex()).encode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> bytes | None:
        if value is None or not bytes(value).startswith(SEALED.encode()):
            return None if value is None else bytes(value)
        return bytes.fromhex(_vaults.get(dialect, _NO_KEY).open(bytes(value).decode()))
