"""Draws what `bench_stall` measured: `python -m tests.load.plot_stall AFTER.json [BEFORE.json] > docs/stall.svg`."""

from __future__ import annotations

import json
import math
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.load.bench_http import quantile

WIDTH, HEIGHT = 760, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 56, 44
LOWEST, HIGHEST = 0.001, 100.0
"""Seconds, on a logarithmic scale."""
COLOURS = ("#1a7f64", "#c4453c")
STEPS = {0.001: "1 ms", 0.01: "10 ms", 0.1: "0.1 s", 1.0: "1 s", 10.0: "10 s", 100.0: "100 s"}


@dataclass(frozen=True)
class Series:
    name: str
    colour: str
    seconds: Mapping[int, Sequence[float]]
    """The times from commit to first byte, by the second in which the message was made."""


def read(path: Path, name: str, colour: str) -> Series:
    seconds: dict[int, list[float]] = defaultdict(list)
    for at, took in json.loads(path.read_text())["points"]:
        seconds[math.floor(at)].append(took)
    return Series(name, colour, dict(sorted(seconds.items())))


def drawn(series: Sequence[Series]) -> str:
    first = min(min(one.seconds) for one in series)
    last = max(max(one.seconds) for one in series) + 1

    def x(second: float) -> float:
        return LEFT + (second - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def y(took: float) -> float:
        share = math.log(min(max(took, LOWEST), HIGHEST) / LOWEST) / math.log(HIGHEST / LOWEST)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    def text(at_x: float, at_y: float, words: str, more: str = "") -> str:
        return f'<text x="{at_x:.0f}" y="{at_y:.0f}" {more}>{words}</text>'

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        text(LEFT, 20, "30 of 60 receivers stall: from commit to first byte at the other 30", 'font-size="15"'),
    ]
    for took, words in STEPS.items():
        out.append(f'<path d="M{LEFT} {y(took):.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        out.append(text(LEFT - 6, y(took) + 4, words, 'text-anchor="end"'))
    below = HEIGHT - BOTTOM + 18
    tens = range(math.ceil(first / 10) * 10, last + 1, 10)
    out += [text(x(second), below, f"{second} s", 'text-anchor="middle"') for second in tens]
    out.append(f'<path d="M{x(0):.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#555" stroke-dasharray="4 3"/>')
    out.append(text(x(0) + 5, TOP + 12, "they begin to stall"))
    for place, one in enumerate(series):
        for share, style in ((0.5, 'stroke-dasharray="2 3"'), (0.99, "")):
            points = " ".join(f"{x(s + 0.5):.1f},{y(quantile(list(t), share)):.1f}" for s, t in one.seconds.items())
            out.append(f'<polyline points="{points}" fill="none" stroke="{one.colour}" stroke-width="1.8" {style}/>')
        words = f"{one.name}: p99 (line), p50 (dotted)"
        out.append(text(LEFT + place * 300, 40, words, f'fill="{one.colour}"'))
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main(paths: Sequence[str]) -> None:
    names = ("now", "before receivers were isolated")
    print(drawn([read(Path(path), *more) for path, *more in zip(paths, names, COLOURS, strict=False)]), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
