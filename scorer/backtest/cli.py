"""`firebreak backtest`: what the forecasts and the surge alarm would have been worth on recorded history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from scorer.backtest import report, surges
from scorer.backtest.measure import OURS, Measured
from scorer.backtest.recorded import Recorded, read
from scorer.backtest.replay import RIVALS, Look, Replay
from scorer.virality.forecast import ClosedForm, Forecaster
from scorer.virality.learned import LearnedForecaster, shipped
from services.base.errors import FirebreakError
from services.contracts.signal import Line

app = typer.Typer(add_completion=False)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
Trace = Annotated[Path | None, typer.Option(help="write every forecast made, one a line")]


def seconds_of(span: str) -> float:
    """`72h`, `3d`, `90m`, `600s`."""
    try:
        return float(span[:-1]) * _UNITS[span[-1]]
    except (KeyError, ValueError, IndexError):
        raise FirebreakError(f"{span!r} is no span of time: say 72h, 3d or 90m") from None


@app.command()
def backtest(
    cascades: Annotated[
        list[Path] | None, typer.Option(help="recorded cascades, JSON lines, .gz or not; may be repeated")
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(help="further files of the same kind")] = None,
    line: Annotated[int, typer.Option(min=1, help="engagements that count as viral")] = 500,
    horizon: Annotated[str, typer.Option(help="how far ahead: 72h, 3d")] = "72h",
    series: Annotated[
        Path | None, typer.Option(help="mention counts (timestamp,value; NAB): a file or a folder")
    ] = None,
    windows: Annotated[Path | None, typer.Option(help="labelled windows of those series (NAB)")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="write all figures")] = None,
    html: Annotated[Path | None, typer.Option(help="write a report with pictures")] = None,
    trace: Trace = None,
    weights: Annotated[Path | None, typer.Option(help="other weights than the shipped ones")] = None,
    closed_form: Annotated[bool, typer.Option("--closed-form", help="the fallback instead of the model")] = False,
    learning: Annotated[
        bool,
        typer.Option("--learning/--no-learning", help="learn from each story that ended how much to believe the next"),
    ] = True,
) -> None:
    """Stream recorded cascades (or mention counts) through the forecaster, event by event, and say what it was worth.

    Example: firebreak backtest --cascades history.jsonl.gz --line 500 --horizon 72h --html report.html
    """
    console = Console()
    files = [*(cascades or []), *(more or [])]
    if series is not None:
        # With mention counts the other positional files are series too.
        surges.run([series, *files], windows, trace, json_, console)
        return
    if not files:
        raise FirebreakError("needs --cascades FILE or --series FILE: your own exported history will do")
    forecaster: Forecaster = (
        ClosedForm() if closed_form else LearnedForecaster.of(weights.read_bytes()) if weights else shipped()
    )
    recordings = sorted(read(files), key=lambda recorded: recorded.root_time or 0.0)
    measured = Measured(line, seconds_of(horizon))
    replay = Replay(forecaster, Line(engagements=line), measured.horizon, learning=learning)
    gallery = report.Gallery(line)
    out = trace.open("w") if trace is not None else None
    try:
        with Progress(console=console, transient=True) as progress:
            for recorded in progress.track(recordings, description="streaming"):
                looks = list(replay.follow(recorded))
                measured.add(recorded, looks)
                gallery.consider(recorded, looks)
                if out is not None:
                    _write(out, recorded, looks)
    finally:
        if out is not None:
            out.close()
    summary: dict[str, Any] = {
        "model": forecaster.name,
        "files": [str(path) for path in files],
        "learned": {network: known.mean for network, known in sorted(replay.learned().items())},
        **measured.summary(),
    }
    _print(console, summary)
    if json_ is not None:
        json_.write_text(json.dumps(summary, indent=2) + "\n")
    if html is not None:
        html.write_text(report.page(summary, measured, gallery))
        console.print(f"report: {html}")


def _write(out: TextIO, recorded: Recorded, looks: list[Look]) -> None:
    out.writelines(
        json.dumps(
            {
                "cascade_id": recorded.cascade_id,
                "seconds": round(look.seconds, 3),
                "observed": look.observed,
                "probability": round(look.probability, 6),
                "predicted": round(look.predicted, 2),
                "low": round(look.low, 2),
                "high": round(look.high, 2),
                "crossing_seconds": None if look.crossing_seconds is None else round(look.crossing_seconds, 1),
                "level": None if look.level is None else look.level.value,
            }
        )
        + "\n"
        for look in looks
    )


def _print(console: Console, summary: dict[str, Any]) -> None:
    console.print(
        f"[bold]{summary['cascades']:,}[/] cascades, [bold]{summary['crossing']:,}[/] cross {summary['line']} engagements "
        f"within {summary['horizon_seconds'] / 3600:.0f} h; model {summary['model']}"
    )
    points = _table("who", "aim", "at", "prec.", "recall", "lead", "25-75 %", "left", "false")
    for level, point in summary["shipped"].items():
        _row(points, OURS, level, point)
    for name in (OURS, *RIVALS):
        points.add_section()
        for precision, point in summary["operating_points"][name].items():
            _row(points, name, precision, point)
    console.print(points)
    console.print(
        "aim: a shipped level, or a precision whose threshold was chosen on these very cascades; "
        "lead: minutes from the alert to the line; left: the share of the line still to come",
        style="dim",
    )
    calibration = _table("P(cross) after", "cascades", "Brier", "ECE")
    for at, found in summary["calibration"].items():
        calibration.add_row(at, str(found["cascades"]), f"{found['brier']:.3f}", f"{found['ece']:.3f}")
    console.print(calibration)
    sizes = _table("final size after", "cascades", "median APE", "80 % interval covers")
    for at, found in summary["final_size"].items():
        sizes.add_row(at, str(found["cascades"]), _shown(found["median_ape"], ".3f"), _shown(found["coverage"], ".1%"))
    console.print(sizes)
    for network, (offset, slope, further) in summary["learned"].items():
        console.print(
            f"learned of {network}: log-odds x {1 + slope:.2f} {offset:+.2f} {further:+.2f} x log(line / size)"
        )


def _row(table: Table, name: str, aim: str, point: dict[str, Any] | None) -> None:
    if point is None:
        table.add_row(name, aim, "never")
        return
    lead = point["lead_median"]
    table.add_row(
        name.removesuffix(" spike"),
        aim,
        f"{point['threshold']:.3g}",
        _shown(point["precision"], ".2f"),
        _shown(point["recall"], ".2f"),
        _shown(lead, ".0f"),
        "-" if lead is None else f"{point['lead_q25']:.0f}-{point['lead_q75']:.0f}",
        _shown(point["left"], ".2f"),
        f"{point['false']:,}",
    )


def _table(first: str, *others: str) -> Table:
    """Fits a terminal of 80 columns."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(first, no_wrap=True)
    for other in others:
        table.add_column(other, justify="right", no_wrap=True)
    return table


def _shown(value: float | None, spec: str) -> str:
    return "-" if value is None else format(value, spec)
