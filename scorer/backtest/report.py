"""Writes a backtest as one HTML page that holds its pictures (SVG, no script, nothing fetched)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import log
from typing import Any, Final

from scorer.backtest.measure import OURS, Measured
from scorer.backtest.recorded import Recorded
from scorer.backtest.replay import RIVALS, Look
from scorer.virality.forecast import LIKELY_AT

WIDE: Final = 460
HIGH: Final = 260
PAD: Final = 36
EXAMPLES: Final = 6
FAN_POINTS: Final = 120
STYLE: Final = """body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1d2329}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;font-size:.85rem}
td,th{padding:.2rem .6rem;border-bottom:1px solid #dde2e7;text-align:right}td:first-child,th:first-child{text-align:left}
figure{display:inline-block;margin:0 1rem 1rem 0}figcaption{font-size:.8rem;color:#5b6670;max-width:28rem}
svg{background:#f8fafb;border-radius:6px}svg text{font:11px system-ui,sans-serif;fill:#5b6670}"""


@dataclass(slots=True)
class Gallery:
    """A few cascades to look at: the first ones that were caught, missed, or gave a false alarm."""

    line: int
    kept: list[tuple[str, Recorded, list[Look]]] = field(default_factory=list)

    def consider(self, recorded: Recorded, looks: Sequence[Look]) -> None:
        """Keep the cascade if more of its sort are wanted."""
        if len(self.kept) >= EXAMPLES or len(recorded.events) < 20:
            return
        crossed = any(look.observed >= self.line for look in looks)
        alerted = any(look.observed < self.line and look.probability >= LIKELY_AT for look in looks)
        kind = {(True, True): "caught", (True, False): "missed", (False, True): "false alarm"}.get((crossed, alerted))
        if kind is not None and sum(one == kind for one, _, _ in self.kept) < EXAMPLES // 2:
            self.kept.append((kind, recorded, list(looks)))


def page(summary: dict[str, Any], measured: Measured, gallery: Gallery) -> str:
    """The whole page as HTML."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Firebreak backtest</title><style>{STYLE}</style>",
        f"<h1>{summary['cascades']:,} cascades, {summary['crossing']:,} over the line of {summary['line']}</h1>",
        (
            f"<p>Model {escape(summary['model'])}; horizon {summary['horizon_seconds'] / 3600:.0f} hours; "
            f"{escape(', '.join(summary['files']))}.</p>"
        ),
        "<h2>Alerts</h2>",
        _points(summary),
        "<h2>How sure, and how early</h2>",
        _figure(
            _reliability(summary["calibration"]["all"]["table"]),
            "What was said against what happened, each cascade once at 10, 30 and 60 minutes. On the diagonal is honest.",
        ),
        _figure(_histogram(measured.leads(LIKELY_AT)), "Minutes from the alert (likely) to the crossing; log scale."),
        "<h2>Final size</h2>",
        _sizes(summary),
        "<h2>Examples</h2>",
        *(
            _figure(_fan(recorded, looks, measured), f"{kind}: {escape(recorded.cascade_id)}")
            for kind, recorded, looks in gallery.kept
        ),
    ]
    return "\n".join(parts) + "\n"


def _points(summary: dict[str, Any]) -> str:
    rows = [(f"{OURS}, shipped {level}", point) for level, point in summary["shipped"].items()]
    for name in (OURS, *RIVALS):
        rows += [(f"{name} at {p}", point) for p, point in summary["operating_points"][name].items() if point]
    cells = [
        (
            escape(name),
            *(
                _text(point[key], spec)
                for key, spec in (
                    ("threshold", ".3g"), ("precision", ".3f"), ("recall", ".3f"), ("lead_q25", ".0f"),
                    ("lead_median", ".0f"), ("lead_q75", ".0f"), ("left", ".2f"), ("false", "d"),
                )
            ),
        )
        for name, point in rows
    ]  # fmt: skip
    return _table(
        ("who", "threshold", "precision", "recall", "lead p25", "lead p50", "lead p75", "still to come", "false"), cells
    )


def _sizes(summary: dict[str, Any]) -> str:
    return _table(
        ("after", "cascades", "median APE", "80 % interval covers"),
        [
            (at, str(found["cascades"]), _text(found["median_ape"], ".3f"), _text(found["coverage"], ".3f"))
            for at, found in summary["final_size"].items()
        ],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{one}" for one in head)
    return f"<table><tr>{top}" + "".join("<tr>" + "".join(f"<td>{c}" for c in row) for row in rows) + "</table>"


def _text(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _svg(body: str) -> str:
    frame = f'<path d="M{PAD} {PAD / 2}V{HIGH - PAD}H{WIDE - PAD / 2}" fill="none" stroke="#aab4bd"/>'
    return f'<svg width="{WIDE}" height="{HIGH}" role="img">{frame}{body}</svg>'


def _place(x: float, y: float) -> str:
    """A point of the unit square on the canvas."""
    across = PAD + max(0.0, min(1.0, x)) * (WIDE - 1.5 * PAD)
    return f"{across:.1f},{HIGH - PAD - max(0.0, min(1.0, y)) * (HIGH - 1.5 * PAD):.1f}"


def _label(x: float, y: float, words: str, anchor: str = "middle") -> str:
    across, down = _place(x, y).split(",")
    return f'<text x="{across}" y="{float(down) + 16:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _reliability(table: Sequence[dict[str, Any]]) -> str:
    most = max((row["cascades"] for row in table), default=1)
    line = " ".join(_place(row["said"], row["was"]) for row in table)
    dots = ""
    for row in table:
        x, y = _place(row["said"], row["was"]).split(",")
        dots += f'<circle cx="{x}" cy="{y}" r="{3 + 6 * (row["cascades"] / most) ** 0.5:.1f}" fill="#c2410c" opacity=".75"/>'
    ends = f"{_place(0, 0)} {_place(1, 1)}"
    return _svg(
        f'<polyline points="{ends}" stroke="#aab4bd" stroke-dasharray="4"/>'
        f'<polyline points="{line}" fill="none" stroke="#c2410c" stroke-width="2"/>{dots}'
        + "".join(_label(x, 0, f"{x:.0%}") for x in (0, 0.5, 1))
    )


def _histogram(leads: Sequence[float]) -> str:
    edges = [1, 3, 10, 30, 60, 120, 240, 480, 960, 1920, 4320]
    counts = [sum(low <= lead < high for lead in leads) for low, high in itertools.pairwise(edges)]
    most = max(counts, default=0) or 1
    step = 1 / len(counts)
    bars = ""
    for number, count in enumerate(counts):
        x, y = map(float, _place(number * step, count / most).split(","))
        size = f'width="{step * (WIDE - 1.5 * PAD) - 2:.1f}" height="{HIGH - PAD - y:.1f}"'
        bars += f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="#0f766e"/>'
        bars += _label((number + 0.5) * step, 0, f"{edges[number]}+")
    return _svg(bars)


def _fan(recorded: Recorded, looks: Sequence[Look], measured: Measured) -> str:
    """Growth so far, the forecast of the final size with its interval at each moment, and when the alert came."""
    last = min(measured.horizon, max(look.seconds for look in looks))
    top = log(2 + max(*(look.high for look in looks), measured.line))

    def at(seconds: float, size: float) -> str:
        return _place(log(1 + seconds / 60) / log(1 + last / 60), log(1 + max(0.0, size)) / top)

    thin = [*looks[:: max(1, len(looks) // FAN_POINTS)], looks[-1]]
    up = " ".join(at(look.seconds, look.high) for look in thin)
    down = " ".join(at(look.seconds, look.low) for look in reversed(thin))
    middle = " ".join(at(look.seconds, look.predicted) for look in thin)
    seen = " ".join(at(look.seconds, look.observed) for look in thin)
    alert = next((look for look in looks if look.probability >= LIKELY_AT and look.observed < measured.line), None)
    mark = ""
    if alert is not None:
        x, _ = at(alert.seconds, 0).split(",")
        mark = f'<path d="M{x} {PAD / 2}V{HIGH - PAD}" stroke="#b91c1c" stroke-dasharray="3"/>'
    line = f"{at(0, measured.line)} {at(last, measured.line)}"
    final = recorded.size_within(measured.horizon)
    return _svg(
        f'<polygon points="{up} {down}" fill="#c2410c" opacity=".15"/>'
        f'<polyline points="{line}" stroke="#5b6670" stroke-dasharray="6"/>'
        f'<polyline points="{middle}" fill="none" stroke="#c2410c"/>'
        f'<polyline points="{seen}" fill="none" stroke="#1d2329" stroke-width="2"/>{mark}'
        + _label(0, 0, "0", "start")
        + _label(1, 0, f"{last / 3600:.1f} h; final {final}", "end")
    )
