"""The secrets of sources, from the environment: `FIREBREAK_SOURCE_<NAME>_TOKEN` is `token` of the source NAME. With `_FILE`
behind it the variable names a file that holds the secret, which is read again whenever the source begins anew: so secrets are
changed without a restart.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from services.base.errors import ConfigError

PREFIX: Final = "FIREBREAK_SOURCE_"
FILE: Final = "_FILE"
MAX_FILE_BYTES: Final = 100_000


def prefix_of(name: str) -> str:
    """How the variables of this source begin."""
    return f"{PREFIX}{name.upper().replace('-', '_')}_"


def secrets_of(name: str, others: Collection[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The secrets of the source `name`. What belongs to one of the `others`, whose name begins with this one's, is not among
    them. Raises `ConfigError` if a file cannot be read; the error never holds its content."""
    environ = os.environ if environ is None else environ
    own = prefix_of(name)
    longer = [other for other in map(prefix_of, others) if other != own and other.startswith(own)]
    found: dict[str, str] = {}
    for variable, value in environ.items():
        if not variable.startswith(own) or any(variable.startswith(other) for other in longer) or not value:
            continue
        key = variable.removeprefix(own)
        if key.endswith(FILE):
            found[key.removesuffix(FILE).lower()] = _content(variable, Path(value))
        else:
            found.setdefault(key.lower(), value)
    return found


def _content(variable: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{variable}: the file that it names cannot be read ({type(error).__name__})") from None
