"""Rings everybody on duty once, through a running installation, and says who confirmed it: the monthly drill of a rota."""

from __future__ import annotations

import asyncio
import getpass
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

import httpx2
import typer

from services.base.errors import ConfigError
from services.base.settings import Settings
from services.base.terminal import console, say
from services.tools.reloading import address_of, key_of

EVERY_SECONDS: Final = 2.0
PATIENCE_SECONDS: Final = 30.0
"""How long the installation may not answer, in a row: it may be restarted in the middle."""


async def hold(settings: Settings, url: str | None, minutes: float, *, every_method: bool, yes: bool) -> bool:
    """Ask whether to ring, ring, show who confirms, and report. Returns True if everybody confirmed in time.

    Raises `ConfigError` if the installation does not answer or refuses.
    """
    there, key = address_of(settings, url), key_of(settings)
    if not yes:
        how = "by every method" if every_method else "by their own rules"
        typer.confirm(f"Ring everybody who is on duty now, {how}? It is a drill, and says so.", abort=True)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(base_url=there, headers=headers, timeout=PATIENCE_SECONDS) as client:
        return await ring(client, minutes, every_method=every_method, sleep=asyncio.sleep)


async def ring(
    client: httpx2.AsyncClient, minutes: float, *, every_method: bool, sleep: Callable[[float], Awaitable[None]]
) -> bool:
    """Hold a drill through the API that `client` reaches."""
    asked = {"by": getpass.getuser(), "wait_minutes": minutes, "every_method": every_method}
    # With an id of our own, a request that is repeated because its answer was lost rings nobody twice.
    drill = await _call(client, "POST", "/v1/drills", sleep, json=asked | {"id": secrets.token_hex(16)})
    for gap in drill["gaps"]:
        say("[yellow]note[/]  {}", gap)
    if drill["asked"] and not drill["links"]:
        say("[yellow]note[/]  FIREBREAK_PUBLIC_URL is not set: the page has no link; people confirm in the console")
    say("ringing {} on duty; they have {} to confirm (Ctrl-C stops waiting, not the drill {})", _people(drill["asked"]),
        f"{minutes:g} min", drill["id"])  # fmt: skip
    told, waited = _tell_news(drill, set()), 0.0
    with console.status("") as progress:
        while not drill["over"]:
            left = timedelta(seconds=max(0, int(minutes * 60 - waited)))
            progress.update(f"{drill['confirmed']} of {drill['asked']} confirmed, {left} left")
            await sleep(EVERY_SECONDS)
            waited += EVERY_SECONDS
            drill = await _call(client, "GET", f"/v1/drills/{drill['id']}", sleep)
            told = _tell_news(drill, told)
    return report(drill)


def _tell_news(drill: Any, told: set[str]) -> set[str]:
    """Print who confirmed since, and what did not arrive. Returns all that was told."""
    news: dict[str, str] = {}
    done = sum(one["confirmed"] for one in drill["people"])
    for one in drill["people"]:
        for page in one["pages"]:
            if page["trouble"] is not None and not one["confirmed"]:
                where = f"{one['name']} by {page['method']}" if page["method"] else one["name"]
                news[f"{where}: {page['trouble']}"] = "[yellow]note[/]  {}"
            if page["confirmed_at"] is not None:
                by = f"{one['name']} confirmed by {page['method']}"
                news[by] = "[green]ok[/]    {}" + f" ({done} of {drill['asked']})"
    for words, form in news.items():
        if words not in told:
            say(form, words)
    return told | news.keys()


def report(drill: Any) -> bool:
    """Print who confirmed, by which method and after how long. Returns True if everybody did."""
    say("[bold]{} of {} confirmed[/]", drill["confirmed"], drill["asked"])
    for one in drill["people"]:
        if one["confirmed"]:
            say("[green]ok[/]    {} by {} after {}", one["name"], one["method"], _span(one["after_seconds"]))
            continue
        sent = [page["method"] for page in one["pages"] if page["delivery"] is not None]
        missing = [page["method"] for page in one["pages"] if page["delivery"] is not None and not page["confirmed_at"]]
        how = f"rung by {', '.join(sent)}" if sent else "not rung at all"
        if drill["every_method"] and len(missing) < len(sent):
            how += f", not confirmed: {', '.join(missing)}"
        why = [page["trouble"] for page in one["pages"] if page["trouble"] is not None]
        say("[red]wrong[/] {} did not confirm ({})", one["name"], "; ".join([how, *dict.fromkeys(why)]))
    if not drill["asked"]:
        say("[red]wrong[/] {}", "nobody is on duty who could be rung")
    return bool(drill["asked"]) and drill["confirmed"] == drill["asked"]


def _people(count: int) -> str:
    return "1 person" if count == 1 else f"{count} people"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


async def _call(
    client: httpx2.AsyncClient, method: str, path: str, sleep: Callable[[float], Awaitable[None]], **more: Any
) -> Any:
    """Raises `ConfigError` if it is refused, or nobody answers for `PATIENCE_SECONDS`: at once if nobody is there to begin."""
    tries = int(PATIENCE_SECONDS / EVERY_SECONDS)
    for number in range(1, tries + 1):
        try:
            answer = await client.request(method, path, **more)
            body = answer.json()
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            why = f"{client.base_url} did not answer ({type(error).__name__}); give --url"
            if method == "POST" and isinstance(error, (httpx2.ConnectError, httpx2.InvalidURL)):
                raise ConfigError(why) from None
        else:
            if answer.is_success:
                return body
            why = f"{client.base_url} answered {answer.status_code}: {body.get('detail')}"
            if answer.status_code != 503:
                raise ConfigError(why)
        if number < tries:
            await sleep(EVERY_SECONDS)
    raise ConfigError(why)
