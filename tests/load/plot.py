"""Plots as SVG, written by hand: points and lines over time, on a scale of powers of ten. Nothing to install."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final

WIDTH: Final = 760
HEIGHT: Final = 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 44, 44
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    """Points, or with `line` what connects them."""

    name: str
    points: Points
    color: str
    line: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A value that is to be kept, as a dashed line."""

    name: str
    value: float


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a point stands in the picture. Upwards each power of ten takes as much room as the one before."""

    last: float
    low: int
    high: int

    def x(self, value: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * value / self.last, 1)

    def y(self, value: float) -> float:
        share = (log10(max(value, 10**self.low)) - self.low) / (self.high - self.low)
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share, 1)


def plot(title: str, across: str, up: str, series: Sequence[Series], bars: Sequence[Bar] = ()) -> str:
    """Returns the SVG. `across` and `up` name the axes; all values are positive."""
    points = [point for one in series for point in one.points]
    values = [value for _, value in points] + [bar.value for bar in bars]
    scale = Scale(
        max((at for at, _ in points), default=1.0) or 1.0,
        floor(log10(max(1e-6, min(values, default=1.0)))),
        floor(log10(max(values, default=1.0))) + 1,
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(_LEFT, 18, title, weight="bold"),
        *_grid(scale, across, up),
    ]
    parts += [_line(scale, one) if one.line else _dots(scale, one) for one in series]
    for bar in bars:
        y = scale.y(bar.value)
        parts.append(f'<path d="M{_LEFT} {y}H{WIDTH - _RIGHT}" stroke="#b00" stroke-dasharray="6 4"/>')
        parts.append(_text(WIDTH - _RIGHT, y - 4, bar.name, anchor="end", fill="#b00"))
    x = _LEFT
    for one in series:
        parts.append(f'<rect x="{x}" y="26" width="10" height="10" fill="{one.color}"/>')
        parts.append(_text(x + 14, 35, one.name))
        x += 30 + 7 * len(one.name)
    return "\n".join([*parts, "</svg>", ""])


def _grid(scale: Scale, across: str, up: str) -> list[str]:
    parts = []
    for power in range(scale.low, scale.high + 1):
        y = scale.y(10**power)
        parts.append(f'<path d="M{_LEFT} {y}H{WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{10.0**power:g}", anchor="end"))
    for number in range(7):
        at = scale.last * number / 6
        parts.append(_text(scale.x(at), HEIGHT - _BOTTOM + 16, f"{at:.0f}", anchor="middle"))
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 8, across, anchor="middle"))
    middle = (HEIGHT + _TOP - _BOTTOM) / 2
    parts.append(f'<g transform="rotate(-90 14 {middle})">{_text(14, middle, up, anchor="middle")}</g>')
    return parts


def _dots(scale: Scale, series: Series) -> str:
    # One path of points without length, which round caps make dots: a tenth of the bytes that circles take.
    moves = "".join(f"M{scale.x(at):g} {scale.y(value):g}h0" for at, value in series.points)
    return f'<path d="{moves}" stroke="{series.color}" stroke-width="3" stroke-linecap="round" stroke-opacity="0.5"/>'


def _line(scale: Scale, series: Series) -> str:
    way = "L".join(f"{scale.x(at):g} {scale.y(value):g}" for at, value in series.points)
    return f'<path d="M{way}" stroke="{series.color}" stroke-width="2" fill="none"/>' if way else ""


def _text(x: float, y: float, words: str, *, anchor: str = "start", fill: str = "#222", weight: str = "normal") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{fill}" font-weight="{weight}">{escape(words)}</text>'
    )
