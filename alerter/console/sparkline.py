"""A story's growth so far in a box of a thumb's size, with an axis: from when to when, and how many. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerter.console.chart import nice_top, observed_points
from alerter.incidents.record import Facet

LEFT: Final = 33.0
TOP: Final = 2.0
WIDTH: Final = 76.0
HEIGHT: Final = 22.0
"""Where the curve is in its picture, beside the words of the axis."""
MOST_POINTS: Final = 16


@dataclass(frozen=True, slots=True)
class Sparkline:
    """`points` are those of an SVG polyline, y downwards; `line` is where the brand's line is, if it is in the picture."""

    points: str
    line: float | None
    top: float
    begins: datetime
    ends: datetime
    size: int


def draw(facet: Facet) -> Sparkline | None:
    """Returns the engagements from the root to the newest forecast, or `None` if it is not known when the story began."""
    if facet.begins is None:
        return None
    points = _thinned(observed_points(facet, (facet.at - facet.begins).total_seconds()))
    last, size = points[-1]
    line = facet.outlook.line.engagements
    # A line far above says nothing here: the curve would lie flat.
    is_near = line is not None and line <= 3 * max(size, 1)
    top = nice_top(max(size, float(line or 0) * 1.05 if is_near else 0, 4))
    places = (f"{LEFT + WIDTH * at / last:.0f},{_down(count, top):g}" for at, count in points)
    return Sparkline(
        points=" ".join(places),
        line=_down(line, top) if is_near and line is not None else None,
        top=top,
        begins=facet.begins,
        ends=facet.at,
        size=round(size),
    )


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    every = -(-len(points) // MOST_POINTS)
    return [*points[:-1:every], points[-1]]


def _down(count: float, top: float) -> float:
    return round(TOP + HEIGHT * (1 - count / top), 1)
