"""A folder into which a vendor's job writes NDJSON."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from services.base.clock import Clock
from tests.contract.sources.network import Deed, Fault


class DropNetwork:
    name = "vendor"
    deeds = frozenset(Deed)
    faults = frozenset({Fault.AWAY, Fault.SKEW})
    keeps_seconds = float("inf")
    pace_seconds = 5.0
    secrets: Mapping[str, str] = {}

    async def start(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = timedelta(0)
        self._folder = Path(tempfile.mkdtemp())
        self._shown = self._folder / "in"
        self._hidden = self._folder / "away"
        self._shown.mkdir()
        self._count = 0

    async def close(self) -> None:
        shutil.rmtree(self._folder)

    def connector(self) -> dict[str, Any]:
        return {"kind": "drop", "folder": str(self._shown), "every_seconds": 5}

    async def write(self, text: str, deed: Deed = Deed.MENTION, about: str | None = None) -> str:
        self._count += 1
        post: dict[str, Any] = {
            "post_id": str(self._count),
            "text": text,
            "platform_at": (self._clock.now() + self._skew).isoformat(),
        }
        match deed:
            case Deed.REPLY | Deed.REPOST:
                post |= {"kind": deed.value, "parent_id": about}
            case Deed.QUOTE:
                post |= {"kind": "quote", "quote_of": {"post_id": about}}
            case Deed.DELETION:
                post = {"kind": "deletion", "post_id": about}
        folder = self._hidden if self._hidden.exists() else self._shown
        with (folder / "posts.ndjson").open("a", encoding="utf-8") as file:
            file.write(json.dumps(post) + "\n")
        return str(post["post_id"])

    async def play(self, fault: Fault) -> None:
        if fault is Fault.AWAY:
            self._shown.rename(self._hidden)
        else:
            self._skew = timedelta(hours=3)

    async def mend(self) -> None:
        self._skew = timedelta(0)
        if self._hidden.exists():
            self._hidden.rename(self._shown)
