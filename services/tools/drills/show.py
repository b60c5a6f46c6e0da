"""Shows a drill to a person: its progress, each verified message as it arrives, and how the night was judged."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from services.base.clock import RealClock, ScaledClock, moment
from services.base.errors import ConfigError
from services.base.settings import Settings
from services.base.terminal import console, say
from services.runtime.http import Server
from services.runtime.process import open_log
from services.runtime.registry import load as load_object
from services.tools.drills.crowd import Night
from services.tools.drills.installation import Installation
from services.tools.drills.judge import Report
from services.tools.drills.player import Keys, Player, play_live, play_manual, serving
from services.tools.drills.script import Script, load
from services.tools.sink import Sink, Webhooked
from services.tools.words import counted

AFTERMATH_SECONDS: Final = 5.0
"""Real time to wait at the end for messages that are on their way, from an installation that was not started here."""
KEYS: Final = ("FIREBREAK_DRILL_POST_KEY", "FIREBREAK_DRILL_ADMIN_KEY")


def play(
    file: Path,
    settings: Settings,
    *,
    seed: int | None,
    speed: float,
    manual: bool,
    against: str | None,
    sink_host: str,
    chaos: bool,
) -> bool:
    """Play the drill in `file` and print what happens. Returns True if everything went as the script expects."""
    script = load(file)
    chosen = script.seed if seed is None else seed
    say("[bold]{}[/] (seed {})\n{}\n", script.title, chosen, script.story.strip())
    if manual:
        report, player = asyncio.run(play_manual(script, chosen))
        for message in player.sink.received:
            show_message(message, player)
    elif against is not None:
        report = asyncio.run(_against(script, chosen, against, sink_host))
    else:
        report = asyncio.run(_own(script, chosen, settings, speed, chaos))
    show_report(report)
    if script.expected != "now":
        say("[yellow]expected later[/]: {}", script.expected.reason)
        return True
    return report.ok


async def _against(script: Script, seed: int, url: str, sink_host: str) -> Report:
    post, admin = (os.environ.get(name, "") for name in KEYS)
    if not post or not admin:
        raise ConfigError(f"set {KEYS[0]} to a key that is allowed to post, and {KEYS[1]} to the alerter's admin key")
    clock = RealClock()
    async with AsyncExitStack() as stack:
        sink = Sink(clock)
        sink_url = await stack.enter_async_context(serving(sink, sink_host))
        run = f"drill{seed}-{secrets.token_hex(3)}"
        player = Player(Night(script, seed, run), clock, url, url, Keys(post, admin), sink)
        return await _played(player, sink_url, lambda: asyncio.sleep(AFTERMATH_SECONDS))


async def _own(script: Script, seed: int, settings: Settings, speed: float, chaos: bool) -> Report:
    """Start an installation on a scaled clock, play the night, and stop it. With `chaos` the scorer has a process of its own,
    which is killed in the middle."""
    keys = Keys.fresh()
    prefix = f"drill-{secrets.token_hex(4)}."
    begin = time.time()
    clock = ScaledClock(moment(begin), speed, begin)
    environment = {
        **keys.environment(),
        "FIREBREAK_LOG": settings.log,
        "FIREBREAK_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "FIREBREAK_KAFKA_PREFIX": prefix,
        # A stable name: a killed scorer is back without waiting for its session to time out.
        "FIREBREAK_INSTANCE": "drill",
        "FIREBREAK_CLOCK_BEGIN": repr(begin),
        "FIREBREAK_CLOCK_ORIGIN": repr(begin),
        "FIREBREAK_CLOCK_SPEED": repr(speed),
        "FIREBREAK_LOG_FORMAT": "json",
    }
    layout = [("ingest", "alerter"), ("scorer",)] if chaos else [("ingest", "scorer", "alerter")]
    with tempfile.TemporaryDirectory(prefix="firebreak-drill-") as directory:
        installation = Installation(Path(directory), script.config, environment, layout)
        console.print(
            f"[dim]starting {' and '.join(', '.join(m.services) for m in installation.members)} on {settings.log}[/]"
        )
        try:
            await installation.start()
            console.print(
                f"watch it live: {installation.url('alerter')}/console  (the key to sign in: {keys.admin})\n",
                soft_wrap=True,
                highlight=False,
            )
            async with serving(sink := Sink(clock)) as sink_url:
                night = Night(script, seed, f"d{seed}")
                player = Player(night, clock, installation.url("ingest"), installation.url("alerter"), keys, sink)
                trouble = _trouble(installation, player) if chaos else None
                report = await _played(player, sink_url, installation.idle, trouble)
        finally:
            await installation.stop()
        if chaos:
            own = settings.model_copy(update={"data": Path(directory), "kafka_prefix": prefix})
            await _show_that_nothing_changed(own, player.night)
    return report


async def _played(
    player: Player,
    sink_url: str,
    settle: Callable[[], Awaitable[object]],
    trouble: Callable[[], Awaitable[None]] | None = None,
) -> Report:
    player.sink.on_message = lambda message: show_message(message, player)
    await player.subscribe(sink_url)
    await player.silence()
    script = player.night.script
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("story minutes"),
        TimeRemainingColumn(),
    )
    try:
        with Progress(*columns, console=console, transient=True) as progress:
            bar = progress.add_task("the night", total=round(script.lasts / 60))
            playing = asyncio.create_task(
                play_live(player, lambda now: progress.update(bar, completed=round(now / 60)))
            )
            if trouble is not None:
                await trouble()
            await playing
            await settle()
        console.print(f"[dim]{player.sent} posts sent[/]")
        return player.report()
    finally:
        await player.close()


def _trouble(installation: Installation, player: Player) -> Callable[[], Awaitable[None]]:
    async def kill_in_the_middle() -> None:
        await player.clock.sleep(player.night.script.lasts * 0.4)
        member = installation.of("scorer")[0]
        member.send(signal.SIGKILL)
        await member.ended()
        console.print(f"[red]scorer killed[/] (kill -9, process {member.pid}) and started again")
        await member.start()

    return kill_in_the_middle


async def _show_that_nothing_changed(settings: Settings, night: Night) -> None:
    """Print whether the scorer's committed state holds every engagement that was sent exactly once."""
    log = open_log(settings)
    await log.start()
    try:
        found: Mapping[str, int] = await load_object("scorer.state_tools:engagements")(log)
    finally:
        await log.close()
    sent = {f"{night.script.network}:{root}": len(times) for root, times in night.engagements().items()}
    wrong = {story: (count, found.get(story, 0)) for story, count in sent.items() if found.get(story, 0) != count}
    total = sum(sent.values())
    if wrong:
        story, (want, got) = next(iter(wrong.items()))
        differ = "one conversation differs" if len(wrong) == 1 else f"{len(wrong)} conversations differ"
        say("[red]{}[/]; of the first, {}, {} were sent and {} counted", differ, story, want, got)
    else:
        console.print(
            f"[green]nothing changed[/]: {counted(total, 'engagement')} in {counted(len(sent), 'conversation')},"
            " each counted exactly once"
        )


def show_message(message: Webhooked, player: Player) -> None:
    one = player.received(message)
    incident = one.incident
    say(
        "[bold]{}[/] [green]verified[/] {} -> {}  SEV{} [bold]{}[/]: {}\n         [dim]{}[/]",
        *(_clock(one.at), one.type, one.endpoint, incident.get("severity"), incident.get("brand")),
        *(incident.get("title", ""), incident.get("because") or incident.get("reason", "")),
    )


def show_report(report: Report) -> None:
    table = Table(title="In story time", title_justify="left")
    for name in ("story", "brand", "paged", "line crossed", "minutes before"):
        table.add_column(name, justify="right" if name in {"paged", "line crossed", "minutes before"} else "left")
    for page in report.pages:
        lead = page.lead_minutes
        table.add_row(
            escape(page.story),
            page.brand,
            "[red]missed[/]" if page.told is None else _clock(page.told),
            "-" if page.crossed is None else _clock(page.crossed),
            "" if lead is None else f"{lead:.0f}",
        )
    console.print(table)
    early = [page for page in report.pages if page.lead_minutes is not None and page.lead_minutes > 0]
    late = [page for page in report.pages if page.lead_minutes is not None and page.lead_minutes <= 0]
    missed = [page for page in report.pages if page.told is None]
    false = [page for page in report.pages if page.crossed is None]
    console.print(
        f"paged in time {len(early)}, too late {len(late)}, missed {len(missed)}, paged but never crossed {len(false)};"
        f" {counted(report.messages, 'verified message')}"
    )
    for check in report.checks:
        say("[green]ok[/]   {}" if check.ok else "[red]FAIL[/] {}", check.what)


async def run_sink(host: str, port: int, endpoints: Mapping[str, str]) -> None:
    """Receive and print webhooks until Ctrl-C."""

    def show(message: Webhooked) -> None:
        console.print(f"[green]verified[/] {message.endpoint} {message.id}")
        console.print_json(data=message.body)

    sink = Sink(RealClock(), show)
    sink.secrets |= endpoints
    server = Server(sink.app(), host, port)
    console.print(f"listening on {server.url}/hooks/NAME for {', '.join(sorted(endpoints))}")
    await server.run_until_stopped()


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{int(seconds % 60):02d}"
