"""Behind `firebreak init` and `firebreak serve`: what is made up for a person who tries things out, and what they are told."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.tools import shipped

HERE: Final = Path("firebreak.yaml")


def kept_key(path: Path) -> str:
    """Returns the key in `path`. Makes both if they are not there: whoever signed in stays so across a restart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        if key := path.read_text(encoding="ascii").strip():
            return key
        made = os.open(path, os.O_WRONLY | os.O_TRUNC)  # the first start ended before it had written
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write((key := secrets.token_urlsafe(24)) + "\n")
    return key


def with_what_is_missing(environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Returns the settings that are missing, and lines for the person who tries it. Keys are made once, shown at every start,
    and kept beside the data, where only their owner can read them."""
    made: dict[str, str] = {}
    lines: list[str] = []
    data = Path(environment.get("FIREBREAK_DATA", "var"))
    if "FIREBREAK_CONFIG" not in environment:
        made["FIREBREAK_CONFIG"] = str(HERE if HERE.exists() else shipped.EXAMPLE)
    if "FIREBREAK_API_KEYS" not in environment:
        key = kept_key(data / "post.key")
        made["FIREBREAK_API_KEYS"] = f"me:{key}"
        lines.append(f"post with        Authorization: Bearer {key}")
    if "FIREBREAK_ADMIN_KEY" not in environment:
        key = made["FIREBREAK_ADMIN_KEY"] = kept_key(data / "admin.key")
        lines.append(f"administrate with Authorization: Bearer {key}")
    # So that a webhook can reach `firebreak sink` on the same machine.
    if "FIREBREAK_EGRESS_ALLOW" not in environment:
        made["FIREBREAK_EGRESS_ALLOW"] = "127.0.0.0/8"
    address = f"http://127.0.0.1:{environment.get('FIREBREAK_PORT', '8080')}"
    lines += [
        f"the configuration is {environment.get('FIREBREAK_CONFIG') or made['FIREBREAK_CONFIG']}",
        f"the console is at {address}/console (sign in with the second key)",
        f"the API is described at {address}/docs",
    ]
    return made, lines


def after_writing(config: Path) -> list[str]:
    """What to do next, for a person who just wrote the example configuration."""
    named = "" if config == HERE else f"FIREBREAK_CONFIG={config} "
    return [
        f"wrote {config}: an example with three invented brands. Next:",
        "  1. Put your own brands, their accounts and lines in it. `firebreak doctor --schema` lists every field.",
        f"  2. {named}firebreak doctor     # says what is wrong, by line",
        f"  3. {named}firebreak serve      # runs everything here, with keys that it makes",
        "  4. Create the endpoints that its policies notify, front-desk and crisis-lead: POST /v1/endpoints, or the console.",
        "For good, set FIREBREAK_API_KEYS and FIREBREAK_ADMIN_KEY yourself and start `firebreak run`.",
    ]
