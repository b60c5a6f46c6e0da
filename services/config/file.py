"""The operator's file on the disk, and beside the data a copy of what was last good: a restart can run on it.

A file that cannot be read, or is no longer there, counts as a file with a mistake.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from services.base.errors import ConfigError
from services.config.loading import parse
from services.config.model import Config

logger = structlog.get_logger()

LAST_GOOD: Final = "config.last-good.yaml"
MAX_BYTES: Final = 32_000_000
"""Ten thousand brands take some five million. A file that is larger is none of ours, and would be held in memory."""
_VERSION_CHARS: Final = 12
UNREADABLE: Final = "unreadable"
"""The version of a file that cannot be read."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was checked whole, with the version that names it and the text that it was read from."""

    config: Config
    version: str
    text: str = ""

    @classmethod
    def of(cls, config: Config) -> Loaded:
        """A configuration that came from no file."""
        return cls(config, version_of(config.model_dump_json().encode()))


def version_of(content: bytes | None) -> str:
    """Returns the version of a file with this content; `None` stands for one that cannot be read."""
    return UNREADABLE if content is None else hashlib.sha256(content).hexdigest()[:_VERSION_CHARS]


class ConfigFile:
    """The file at `path`, with its last good copy in the folder `data`. All of it blocks: call it on a thread."""

    def __init__(self, path: Path, data: Path) -> None:
        self.path = path
        self.tried = UNREADABLE
        """The version of what `read` found last, right or wrong."""
        self._copy = data / LAST_GOOD

    @property
    def is_pipe(self) -> bool:
        """Whether it can be read once only, and never again."""
        return self.path.exists() and not self.path.is_file()

    def content(self) -> bytes | None:
        """Returns what the file holds, or `None` if it cannot be read."""
        try:
            return _bytes(self.path)
        except (OSError, ConfigError):
            return None

    def read(self) -> Loaded:
        """Returns what the file holds. Raises `ConfigError` with every mistake, one a line."""
        self.tried = UNREADABLE
        try:
            content = _bytes(self.path)
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}") from error
        self.tried = version_of(content)
        return _loaded(content, str(self.path))

    def keep(self, loaded: Loaded) -> None:
        """Keep what was taken, for a restart that finds the file broken. Whole or not at all: it is renamed into place."""
        try:
            self._copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made by `mkstemp`, which lets nobody else read it.
            made, name = tempfile.mkstemp(prefix=f"{LAST_GOOD}.", dir=self._copy.parent)
            try:
                with os.fdopen(made, "wb") as file:
                    file.write(loaded.text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._copy)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            logger.warning(
                "last_good_configuration_not_kept",
                path=str(self._copy),
                why=error.strerror,
                then="a restart with a broken file will fail",
            )

    def last_good(self) -> Loaded | None:
        """Returns what was kept last, or `None` if nothing was, or it is no longer right for this release."""
        try:
            return _loaded(_bytes(self._copy), str(self._copy))
        except (OSError, ConfigError):
            return None


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes; is it the right file?")
    return content


def _loaded(content: bytes, name: str) -> Loaded:
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: not UTF-8 at byte {error.start}") from error
    return Loaded(parse(text, name), version_of(content), text)
