"""`make bench`: measures, shows a table and writes build/bench.json. Never part of the tests: compare ratios, not machines."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from services.base import logs
from tests.load import (
    bench_bounds,
    bench_following,
    bench_http,
    bench_jetstream,
    bench_log,
    bench_memory,
    bench_opening,
    bench_reach,
    bench_scorer,
    bench_sentiment,
    bench_stall,
    bench_storm,
    bench_virality,
    bench_webhooks,
)

OUT = Path("build/bench.json")
MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    "log": bench_log.run,
    "scorer": bench_scorer.run,
    "http": bench_http.run,
    "sentiment": bench_sentiment.run,
    "virality": bench_virality.run,
    "memory": bench_memory.run,
    "webhooks": bench_webhooks.run,
    "opening": bench_opening.run,
    "storm": bench_storm.run,
    "stall": bench_stall.run,
    "bounds": bench_bounds.run,
    "reach": bench_reach.run,
    "jetstream": bench_jetstream.run,
    "following": bench_following.run,
}
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_int8", "amx_bf16")


def machine() -> dict[str, Any]:
    """The processor's name and what it can do: figures mean nothing without."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    described = {name.strip(): value.strip() for name, value in found.items()}
    flags = described.get("flags", "").split()
    return {
        "cpu": described.get("model name", platform.processor()),
        "cores": os.cpu_count(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", choices=sorted(MEASURES), action="append")
    asked = parser.parse_args()
    logs.configure("error", "console")
    console = Console()
    results: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    for name in asked.only or MEASURES:
        console.print(f"[dim]measuring {name} ...[/]")
        results[name] = {"machine": machine(), **MEASURES[name]()}
        OUT.parent.mkdir(exist_ok=True)
        OUT.write_text(json.dumps(results, indent=2))
        table = Table(title=name, title_justify="left")
        table.add_column("what")
        table.add_column("figure", justify="right")
        for what, figure in results[name].items():
            if what != "machine":
                table.add_row(
                    what,
                    f"{figure:,.0f}"
                    if isinstance(figure, float) and figure >= 100
                    else f"{figure:.3g}"
                    if isinstance(figure, float)
                    else str(figure),
                )
        console.print(table)
    console.print(f"written to {OUT}")


if __name__ == "__main__":
    main()
