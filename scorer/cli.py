"""`firebreak evaluate sentiment` judges a model on a labelled file, `firebreak score` shows what it reads in some texts."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from services.base.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Score texts and judge models.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Judge models on labelled files.")
app.add_typer(evaluate_app, name="evaluate")


def _quiet() -> None:
    """Log warnings only, and to the other stream, unless the operator's settings have configured logging already."""
    if not structlog.is_configured():
        structlog.configure(
            wrapper_class=structlog.make_filtering_bound_logger("warning"),
            logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        )


ModelOption = Annotated[
    str | None, typer.Option("--model", help="shipped, english, lexicon, a directory, or a Hugging Face hub id")
]


@evaluate_app.command("sentiment")
def evaluate_sentiment(
    file: Annotated[
        Path, typer.Argument(help="CSV or CSV.GZ with text and any of label, sentiment, complaint, severity")
    ],
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object")] = False,
    predictions: Annotated[Path | None, typer.Option(help="write one row a text, in order")] = None,
) -> None:
    """Print the figures that a file's labels allow."""
    from scorer.sentiment.choose import choose
    from scorer.sentiment.evaluate import evaluate, read_labelled, write_predictions

    _quiet()
    try:
        rows = list(read_labelled(file))
        chosen = choose(model)
    except ConfigError as trouble:
        raise typer.BadParameter(str(trouble)) from trouble
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{chosen.name}: {file.name}", total=len(rows))
        result = evaluate(chosen, rows, lambda texts: progress.advance(bar, texts))
    if predictions is not None:
        write_predictions(predictions, result.readings)
    if as_json:
        typer.echo(
            json.dumps({"model": chosen.name, "file": str(file), **result.figures, "confusion": result.confusion})
        )
        return
    _show(result.figures, result.confusion, f"{chosen.name} on {file.name}")


@evaluate_app.command("bars")
def evaluate_bars(
    data: Annotated[Path, typer.Argument(help="directory of the public sets, and of the written posts")],
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object a figure")] = False,
) -> None:
    """Print what the reading is held to, as far as the sets are there. Takes some minutes."""
    from scorer.sentiment.choose import choose
    from scorer.training.bars import measure_bars

    _quiet()
    try:
        chosen = choose(model)
    except ConfigError as trouble:
        raise typer.BadParameter(str(trouble)) from trouble
    found = list(measure_bars(chosen, data))
    if not found:
        raise typer.BadParameter(f"{data} holds none of the sets")
    if as_json:
        for one in found:
            typer.echo(json.dumps({"model": chosen.name, **asdict(one), "reached": one.reached}))
        return
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=chosen.name)
    for column in ("what", "found", "bar", "aim", "texts", "read"):
        table.add_column(column, no_wrap=column != "what", justify="left" if column == "what" else "right")
    for one in found:
        mark = "" if one.reached else " *"
        figures = (f"{one.found:.3f}{mark}", f"{one.bar:.3f}", f"{one.aim:.3f}", f"{one.texts}", f"{one.read:.0%}")
        table.add_row(one.what, *figures)
    Console().print(table)
    typer.echo(
        "* below its bar. Texts that the model would rather not judge count all the same; `read` is the share of the others."
    )


def _show(figures: dict[str, float], confusion: list[list[int]], title: str) -> None:
    from scorer.sentiment.calibration import LABELS

    console = Console()
    table = Table("figure", "value", title=title)
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    console.print(table)
    if confusion:
        grid = Table("truth \\ said", *LABELS, title="confusion")
        for label, counts in zip(LABELS, confusion, strict=True):
            grid.add_row(label, *map(str, counts))
        console.print(grid)


@app.command("baseline")
def baseline(
    file: Annotated[
        Path, typer.Option("--from", help="CSV (brand,at,negative) or JSON lines: negative posts by minute or hour")
    ],
) -> None:
    """Teach surges what was usual for a brand before it was watched. Doing it again changes nothing."""
    from scorer.history import messages, read
    from services.base.settings import Settings
    from services.config.loading import load
    from services.runtime.process import open_log

    settings = Settings()
    counts, every = read(file, {brand.id for brand in load(settings.config).brands})

    async def append() -> None:
        log = open_log(settings)
        try:
            await log.start()
            for one in messages(counts, every):
                await log.append(one)
        finally:
            await log.close()

    asyncio.run(append())
    for brand, own in sorted(counts.items()):
        days = (max(own) - min(own) + every) / 86_400
        typer.echo(f"{brand}: {sum(own.values()):,} negative posts in {days:,.1f} days")


@app.command("read")
def read(
    file: Annotated[
        Path,
        typer.Argument(help="texts: CSV with a column text, lines of JSON with a field text, or .txt; .gz is read too"),
    ],
    out: Annotated[
        str,
        typer.Option("--json", metavar="OUT.jsonl", help="where to write one object a text; - is the standard output"),
    ] = "-",
    brand: Annotated[
        list[str] | None,
        typer.Option(help="name of a brand that is looked for in every text; repeat for several"),
    ] = None,
    model: ModelOption = None,
) -> None:
    """Write down all that is read in the texts of a file: language, sentiment, complaint, severity, hazard, and the brands that
    are meant. A column or field `brand` names the one that a text is asked about, `language` its BCP 47 tag."""
    from scorer.readout import Readout, read_asked, read_file
    from scorer.sentiment.choose import choose

    _quiet()
    try:
        asked = list(read_asked(file))
        readout = Readout(
            choose(model), [*(brand or ()), *(one.brand for one in asked if one.brand)], always=brand or ()
        )
        opened = nullcontext(sys.stdout) if out == "-" else Path(out).open("w", encoding="utf-8")  # noqa: SIM115
    except (ConfigError, OSError) as trouble:
        raise typer.BadParameter(str(trouble)) from trouble
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with opened as to, Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(file.name, total=len(asked))
        for one in read_file(readout, asked, lambda texts: progress.advance(bar, texts)):
            to.write(json.dumps(one) + "\n")


@app.command("score")
def score(
    texts: Annotated[list[str], typer.Argument(help="what somebody wrote")],
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object a text")] = False,
) -> None:
    """Say what a model reads in some texts."""
    from scorer.sentiment.choose import choose
    from scorer.sentiment.evaluate import label_of

    _quiet()
    try:
        chosen = choose(model)
    except ConfigError as trouble:
        raise typer.BadParameter(str(trouble)) from trouble
    readings = chosen.read(texts, [None] * len(texts))
    if as_json:
        for text, one in zip(texts, readings, strict=True):
            figures = {name: getattr(one, name) for name in one.__slots__}
            typer.echo(json.dumps({"text": text, "sentiment": label_of(one), **figures}))
        return
    # One column for each figure and the text last: of 80 columns it gets half, and nothing is cut off.
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("sentiment", "neg", "neu", "pos", "complaint", "severity"):
        table.add_column(column, no_wrap=True)
    table.add_column("text")
    for text, one in zip(texts, readings, strict=True):
        shares = [f"{share:.2f}" for share in (one.negative, one.neutral, one.positive)]
        complaint = "" if one.complaint is None else f"{one.complaint:.2f}"
        severity = "" if one.severity is None else str(one.severity)
        mood = label_of(one) if one.abstain is None else f"- ({one.abstain})"
        table.add_row(mood, *shares, complaint, severity, Text(text))
    Console().print(table)


if __name__ == "__main__":
    app()
