"""What travels with the code for people to start from: the example configuration and the drills.

A wheel carries them in a folder beside this file; in a checkout they are in `deploy/`, where people look for them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from services.base.errors import ConfigError

_IN_THE_WHEEL: Final = Path(__file__).with_name("shipped_files")
_IN_THE_CHECKOUT: Final = Path(__file__).parents[2] / "deploy"
FOLDER: Final = _IN_THE_WHEEL if _IN_THE_WHEEL.is_dir() else _IN_THE_CHECKOUT
EXAMPLE: Final = FOLDER / "firebreak.yaml"
"""The example configuration."""
DEMO: Final = FOLDER / "drills" / "demo.yaml"
"""The evening with four storms."""


def drills() -> dict[str, Path]:
    """Returns the drills that ship, by name."""
    return {path.stem: path for path in sorted((FOLDER / "drills").glob("*.yaml"))}


def drill(asked: Path) -> Path:
    """Returns the file that is asked for, or else the shipped drill of that name, with or without its folder and ending.

    Raises `ConfigError` if there is neither."""
    if asked.exists():
        return asked
    known = drills()
    found = known.get(asked.name) or known.get(asked.stem)
    if found is None:
        raise ConfigError(f"{asked}: there is no such file, and no drill of that name ships: {', '.join(known)}")
    return found


def write_example(to: Path) -> None:
    """Write the example configuration. Raises `ConfigError` if something is there already, which is never touched."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("x", encoding="utf-8") as out:
            out.write(EXAMPLE.read_text(encoding="utf-8"))
    except OSError as error:
        # Not by the kind of error alone: a file where a folder should be raises the same one.
        if isinstance(error, FileExistsError) and os.path.lexists(to):
            raise ConfigError(
                f"{to} is there already and was left as it is: move it away, or name another file"
            ) from error
        raise ConfigError(f"{to} cannot be written: {error.strerror}") from error
