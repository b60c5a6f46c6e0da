"""The files of a model are those that were made: their SHA-256 stand beside them, and are compared at each start.

The list has the form of `sha256sum`, so that anybody can check it: `sha256sum --check SHA256SUMS`.
"""

from __future__ import annotations

import hashlib
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from services.base.errors import Damaged

NAME: Final = "SHA256SUMS"


def verify(folder: Traversable, *names: str) -> None:
    """Raises `Damaged` if a file that the list names, or one of `names`, is missing, unlisted, or not what was listed."""
    try:
        lines = (folder / NAME).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Damaged(f"{folder / NAME} cannot be read: {error}. Reinstall firebreak") from None
    listed = {line[64:].lstrip(" *"): line[:64] for line in lines if line}
    for name in sorted({*names, *listed}):
        found = _digest(folder / name)
        if found is None or found != listed.get(name):
            what = (
                "is missing" if found is None else f"has SHA-256 {found}, and {listed.get(name, 'nothing')} is listed"
            )
            raise Damaged(f"{folder / name} {what}: it is not the file that was made. Reinstall firebreak")


def write(folder: Path, *names: str) -> None:
    """List the files as they are now."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in sorted(names)]
    (folder / NAME).write_text("".join(lines), encoding="utf-8")


def _digest(file: Traversable) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
