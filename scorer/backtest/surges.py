"""Surges on recorded mention counts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from services.errors import FirebreakError


def run(files: Sequence[Path], windows: Path | None, trace: Path | None, json_: Path | None, console: Console) -> None:  
    raise FirebreakError("mention counts cannot be replayed yet")
