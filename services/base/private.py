"""What we write can be read by the user that we run as, and by nobody else: it holds posts, people's handles and secrets.

Files get mode 0600 and folders 0700 when they are made, whatever the umask says. What an earlier release, or a copy, left
open to others is narrowed at the next start. Windows has no such modes, and nothing is done there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

logger = structlog.get_logger()

OURS: Final = (
    "log.db*",
    "alerter.db*",
    "quarantine-*.json",
    "config.last-good.yaml*",
    *("post.key", "admin.key"),
    *("ingest.lock", "scorer.lock", "alerter.lock"),
    ".firebreak*",
)
"""The names of what we write into the data folder. Whatever else lies there belongs to somebody else and is left alone."""
BESIDE: Final = ("", "-wal", "-shm", "-journal", ".lock")
"""What SQLite and we put beside a database. SQLite gives its own files the mode of the database."""

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_POSIX: Final = os.name == "posix"


def make_folder(path: Path) -> None:
    """Make the folder, and those above it that are not there. One that is there keeps its mode. Raises `OSError`."""
    missing = []
    for part in (path, *path.parents):
        if part.exists():
            break
        missing.append(part)
    for part in reversed(missing):
        part.mkdir(mode=0o700, exist_ok=True)
    if not path.is_dir():
        raise NotADirectoryError(20, os.strerror(20), str(path))


def make_file(path: Path) -> None:
    """Make the file, empty, if it is not there. One that is there keeps its mode. Raises `OSError`."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def write_text(path: Path, text: str) -> None:
    """Replace the file whole: a crash leaves the old text or the new one. Raises `OSError`."""
    part = path.with_name(f".firebreak-{path.name}.part")
    with contextlib.suppress(FileNotFoundError):
        part.unlink()  # of a crash, with the mode that it had
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def open_to_others(folder: Path) -> list[Path]:
    """Returns what we keep in the folder that somebody else may read or write, and the folder itself if nothing but ours
    lies in it: a folder that is shared with other programs is theirs to open or close."""
    ours = {found for pattern in OURS for found in folder.glob(pattern)} if folder.is_dir() else set()
    wide = sorted(found for found in ours if _is_wide(found))
    shared = not ours or any(True for found in folder.iterdir() if found not in ours)
    return wide if shared or not _is_wide(folder) else [*wide, folder]


def close_to_others(paths: Iterable[Path]) -> None:
    """Take all rights of others away, and log what was open. What belongs to another user stays as it is, and is named."""
    done, left = [], []
    for path in paths:
        try:
            path.chmod(0o700 if path.is_dir() else 0o600)
        except OSError:
            left.append(str(path))
        else:
            done.append(str(path))
    if done:
        logger.warning("data_was_open_to_others", paths=done, now="only this user can read it")
    if left:
        logger.warning("data_is_open_to_others", paths=left, do="chown it to the user that firebreak runs as")


def of_database(path: Path) -> list[Path]:
    """Returns the files of this SQLite database that somebody else may read or write."""
    return [found for ending in BESIDE if _is_wide(found := path.with_name(path.name + ending))]


def _is_wide(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    # A folder like /tmp belongs to everybody; and what another user owns is not ours to change.
    common = stat.S_ISDIR(found.st_mode) and (found.st_mode & stat.S_ISVTX or found.st_uid != os.geteuid())
    return _POSIX and not common and bool(found.st_mode & _OTHERS)
