"""The console in a real browser: a drill is played, the board shows the incident as it happens, a click takes it, and the
webhook that says so arrives. The same run takes the pictures for docs/ (`PICTURES=1`) and asks axe-core about each page.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from pydantic import SecretStr

from alerter.escalation import pages
from alerter.notify import outbox
from alerter.service import Alerter
from services.base.clock import ManualClock
from services.base.settings import Settings
from services.config.rota import Responder, Schedule
from services.runtime.process import Process
from services.tools.drills.crowd import Night
from services.tools.drills.player import LOOPBACK, STORY_BEGINS, Keys, Player, idle, moments, serving
from services.tools.drills.script import load
from services.tools.sink import Sink
from tests.browser import browser
from tests.patience import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs"
MAX_PICTURE_BYTES = 300_000
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PUBLISHED = {
    "board-light",
    "board-dark",
    "board-phone",
    "incident-light",
    "incident-phone",
    "answers-due-light",
    "on-call-light",
    "endpoints-light",
    "acknowledge-light",
    "acknowledge-dark",
}
BROKEN = "night-shift"
ROW = "tr[data-incident]"
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
RESPONDERS = tuple(Responder(id=name, name=name.title(), methods=("front-desk",)) for name in ("dana", "lee", "max"))
SCHEDULES = (
    Schedule.model_validate(
        {
            "id": "crisis",
            "zone": "Europe/Berlin",
            "description": "storms, by night too",
            "layers": [
                {
                    "id": "weeks",
                    "rotation": "weekly",
                    "begins": "2026-01-05T09:00:00",
                    "responders": ["dana", "lee", "max"],
                }
            ],
        }
    ),
)


@dataclass
class Stage:
    """An installation in which a night can be played on, minute by minute."""

    process: Process
    player: Player
    clock: ManualClock
    keys: Keys

    @property
    def url(self) -> str:
        return self.process.server.url

    async def play_until(self, minutes: float) -> None:
        """From the night's begin; may be called again with a later time."""
        for now, actions in self._moments:
            self.clock.advance((self.player.begin + timedelta(seconds=now) - self.clock.now()).total_seconds())
            await self.player.send(actions)
            await idle(self.process)
            if now >= minutes * 60:
                return

    def __post_init__(self) -> None:
        self._moments = moments(self.player.night)

    def heard(self, kind: str) -> list[Any]:
        return [message.body for message in self.player.sink.received if message.body["type"] == kind]


@asynccontextmanager
async def staged(folder: Path, drill: str) -> AsyncIterator[Stage]:
    script = load(ROOT / "deploy" / "drills" / drill)
    config = script.config.model_copy(update={"schedules": SCHEDULES, "responders": RESPONDERS})
    clock, keys = ManualClock(STORY_BEGINS), Keys.fresh()
    settings = Settings(
        data=folder,
        port=0,
        partitions=2,
        api_keys=SecretStr(f"drill:{keys.post}"),
        admin_key=SecretStr(keys.admin),
        egress_allow=LOOPBACK,
    )
    process = Process(settings, config, ("ingest", "scorer", "alerter"), clock)
    stop, started = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(process.run(stop, started.set), name="firebreak")
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await started.wait()
        async with serving(sink := Sink(clock)) as sink_url:
            player = Player(
                Night(script, script.seed, "drill"), clock, process.server.url, process.server.url, keys, sink
            )
            try:
                await player.subscribe(sink_url)
                yield Stage(process, player, clock, keys)
            finally:
                await player.close()
    finally:
        stop.set()
        await running


async def sign_in(page: Page, stage: Stage, person: str = "dana") -> None:
    await page.goto(f"{stage.url}/console")
    await page.fill("#person", person)
    await page.fill("#key", stage.keys.admin)
    await page.keyboard.press("Enter")
    await page.wait_for_selector("#board")


async def watched(opened: Browser, trouble: list[str], **more: Any) -> Page:
    """A page whose every error is noted: a refused script or style shows there too."""
    context = await opened.new_context(**more)
    page = await context.new_page()
    page.set_default_timeout(PATIENCE_SECONDS * 1000)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda said: trouble.append(said.text) if said.type == "error" else None)
    return page


async def test_the_board_shows_the_incident_live_and_a_click_takes_it(tmp_path: Path) -> None:
    trouble: list[str] = []
    async with browser() as opened, staged(tmp_path, "1-quoted-by-the-loud.yaml") as stage:
        page = await watched(opened, trouble, viewport=WIDE)
        await sign_in(page, stage)
        assert await page.locator(ROW).count() == 0
        await page.evaluate("window.neverReloaded = true")
        playing = asyncio.create_task(stage.play_until(10_000))
        await page.wait_for_selector(ROW)
        assert await page.evaluate("window.neverReloaded"), "it came without a reload"
        assert "New incident" in (await page.text_content("#news") or "")
        assert (await page.title()).startswith("(1)")
        row = page.locator(ROW).first
        assert "Nobody has it" in " ".join((await row.inner_text()).split())
        await row.get_by_role("button", name="I have it").click()
        await page.wait_for_selector(".board .held")
        assert "dana has it" in " ".join((await page.locator(ROW).first.inner_text()).split())
        await playing
        await idle(stage.process)
        taken = stage.heard("incident.acknowledged")
        assert taken
        assert taken[0]["data"]["acknowledged_by"] == "dana"
        assert stage.player.sink.refused == 0
    assert trouble == []


async def test_every_page_can_be_used_by_keyboard_and_screen_reader_on_any_screen(tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core comes with the extra `dev`")
    taking = os.environ.get("PICTURES") == "1"
    trouble: list[str] = []
    found: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(36)
        await break_an_endpoint(stage)
        await declare_something(stage)
        for scheme, size in (("light", WIDE), ("dark", WIDE), ("light", PHONE)):
            page = await watched(opened, trouble, viewport=size, color_scheme=scheme, timezone_id="UTC", locale="en-GB")
            await page.goto(f"{stage.url}/console")
            found += await _violations(axe, page, "login")
            await sign_in(page, stage)
            incident = await page.locator(".board .says").first.get_attribute("href")
            assert incident is not None
            for name, path in [*await _paths(page, incident), *await _deliveries(page, stage)]:
                await page.goto(f"{stage.url}{path}")
                found += await _violations(axe, page, f"{name} {scheme} {size['width']}")
                assert await page.evaluate(SIDEWAYS) <= 0, f"{name} must be scrolled sideways at {size['width']}"
                await _picture(page, f"{name}-{'phone' if size is PHONE else scheme}.png", tmp_path, keep=taking)
            for name, wrong in (("schedule-preview", ""), ("schedule-mistakes", "zoen: x\n")):
                await page.goto(f"{stage.url}/console/rota/schedules/nights")
                await page.fill("#text", wrong + await page.input_value("#text"))
                await page.click('button[value="preview"]')
                await page.wait_for_selector("#mistakes" if wrong else "#preview")
                found += await _violations(axe, page, f"{name} {scheme} {size['width']}")
                assert await page.evaluate(SIDEWAYS) <= 0, f"{name} must be scrolled sideways at {size['width']}"
                await _picture(page, f"{name}-{'phone' if size is PHONE else scheme}.png", tmp_path, keep=taking)
            await page.goto(f"{stage.url}/console/endpoints")
            await page.click(f"#s-{BROKEN}")
            await page.wait_for_selector("#secret")
            found += await _violations(axe, page, f"secret {scheme} {size['width']}")
            assert await page.evaluate(SIDEWAYS) <= 0, f"the secret must be scrolled sideways at {size['width']}"
            await page.context.close()
    assert found == []
    assert [said for said in trouble if "422" not in said] == [], "but for what was typed wrong"


async def test_the_whole_way_can_be_gone_without_a_mouse(tmp_path: Path) -> None:
    trouble: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(30)
        page = await watched(opened, trouble, viewport=WIDE)
        await sign_in(page, stage)
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        for _ in range(60):
            await page.keyboard.press("Tab")
            if await page.evaluate("document.activeElement.matches('.board .says')"):
                break
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#head")
        await page.focus("#comment")
        await page.keyboard.type("calling her now")
        # What somebody is typing is not replaced under their hands.
        await stage.play_until(32)
        assert await page.input_value("#comment") == "calling her now"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#head .held")
        assert "calling her now" in await page.inner_text("#timeline")
    assert trouble == []


async def holds(page: Page, claim: str, arg: Any = None) -> None:
    """Wait until the claim holds. Asked from outside: the page itself forbids scripts in words (`wait_for_function`)."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await page.evaluate(claim, arg):
            await asyncio.sleep(0.05)


async def test_the_board_is_worked_by_keys_and_what_is_chosen_stays_chosen_while_it_changes(tmp_path: Path) -> None:
    trouble: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(30)
        page = await watched(opened, trouble, viewport=WIDE)
        await sign_in(page, stage)
        await page.keyboard.press("?")
        assert await page.locator("#keys").is_visible()
        await page.keyboard.press("Escape")
        await holds(page, "!document.getElementById('keys').open && document.activeElement === document.body")
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "q"
        await page.keyboard.type("jar?")
        assert await page.input_value("#q") == "jar?", "keys act on nothing while somebody types"
        await page.fill("#q", "")
        await page.evaluate("document.activeElement.blur()")
        await page.keyboard.press("j")
        assert await page.evaluate("document.activeElement.matches('.board .says')")
        await page.keyboard.press("x")
        box = page.locator(".pick input").first
        assert await box.is_checked()
        await page.evaluate("window.neverReloaded = true")
        before = await page.locator("#strip").inner_text()
        await stage.play_until(36)
        await holds(page, "(before) => document.getElementById('strip').innerText !== before", before)
        assert await page.evaluate("window.neverReloaded")
        assert await page.locator(".pick input:checked").count() == 1
        await page.locator(".board .says").first.focus()
        await page.keyboard.press("a")
        await page.wait_for_selector(".said")
        await page.keyboard.press("j")
        await page.keyboard.press("r")
        assert await page.evaluate("document.activeElement.id") == "yes-chosen", "it asks first"
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#over")
        assert "Marked as over" in await page.inner_text(".said")
        assert "done=" not in page.url
    assert trouble == []


async def test_it_is_over_asks_once_and_can_be_taken_back_with_and_without_scripts(tmp_path: Path) -> None:
    trouble: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(36)
        for scripts in (True, False):
            page = await watched(opened, trouble, viewport=PHONE, java_script_enabled=scripts)
            await sign_in(page, stage)
            await page.locator(".board .says").first.click()
            await page.wait_for_selector("#head")
            yes = page.get_by_role("button", name="Yes, it is over")
            assert not await yes.is_visible()
            await page.locator("#ask-over summary").click()
            assert await page.get_by_text("Is it over?").is_visible()
            before = {told["data"]["sequence"] for told in stage.heard("incident.resolved")}
            assert len(before) == (0 if scripts else 1), "nothing was resolved by asking"
            await yes.click()
            await page.wait_for_selector(".said")
            assert "For ten minutes you can take that back" in await page.inner_text(".said")
            await idle(stage.process)
            after = {told["data"]["sequence"] for told in stage.heard("incident.resolved")}
            assert len(after) == len(before) + 1
            await page.get_by_role("button", name="Undo: it is not over").click()
            await page.wait_for_selector("#ask-over")
            assert "It is open again" in await page.inner_text(".said")
            await page.context.close()
    assert trouble == []


async def test_whoever_looks_from_elsewhere_reads_the_time_of_their_own_clock(tmp_path: Path) -> None:
    trouble: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(30)
        page = await watched(opened, trouble, viewport=PHONE, timezone_id="Asia/Tokyo")
        await sign_in(page, stage)
        assert "JST" in await page.inner_text("#board")
        await page.click("#zone-link")
        await page.select_option("#zone", "America/Argentina/Buenos_Aires")
        await page.get_by_role("button", name="Use this zone").click()
        await page.wait_for_selector(ROW)
        assert "UTC-3" in await page.inner_text("#board")
        assert await page.evaluate(SIDEWAYS) <= 0, "the longest names too"
        await page.click("#zone-link")
        await page.get_by_role("button", name="Use this device's: Asia/Tokyo").click()
        await page.wait_for_selector(ROW)
        assert "JST" in await page.inner_text("#board")
    assert trouble == []


async def _paths(page: Page, incident: str) -> list[tuple[str, str]]:
    """Every page that the navigation leads to, and an incident."""
    links = page.locator(".top nav a")
    listed = [(await a.inner_text(), await a.get_attribute("href") or "") for a in await links.all()]
    every = [*((name.lower().replace(" ", "-"), path) for name, path in listed), ("incident", incident)]
    forms = [
        ("person", "/console/rota/responders/ana"),
        ("read-only", "/console/rota/schedules/crisis"),
        ("policy", "/console/rota/new/policies"),
        ("endpoint-new", "/console/endpoints/+new"),
        ("endpoint-change", f"/console/endpoints/{BROKEN}/change"),
    ]
    return [
        *every,
        *forms,
        ("week", "/console/on-call/week"),
        ("brand", "/console/brands/acme-air"),
        ("zone", "/console/zone?next=/console/on-call"),
    ]


async def declare_something(stage: Stage) -> None:
    """A person, a schedule and a silence that are in no file."""
    rules = {"urgent": [{"method": "front-desk"}, {"after_minutes": 3, "method": BROKEN}]}
    layer = {"id": "daily", "rotation": "daily", "begins": "2026-02-01T21:00", "responders": ["dana", "ana"]}
    ends = (stage.clock.now() + timedelta(hours=3)).isoformat()
    silence = {
        "matchers": [{"field": "severity", "values": ["4"]}],
        "ends_at": ends,
        "by": "Ana",
        "comment": "a rollout",
    }
    headers = {"authorization": f"Bearer {stage.keys.admin}"}
    async with httpx2.AsyncClient(base_url=stage.url, headers=headers) as client:
        for path, body in (
            ("responders", {"id": "ana", "name": "Ana Sousa", "methods": ["front-desk", BROKEN], "notify": rules}),
            ("schedules", {"id": "nights", "zone": "Europe/Lisbon", "layers": [layer]}),
            ("silences", silence),
        ):
            made = await client.post(f"/v1/{path}", json=body)
            assert made.status_code == 201, made.text


async def break_an_endpoint(stage: Stage) -> None:
    """One to which nothing gets through, and which was therefore disabled."""
    (alerter,) = (one for one in stage.process.services if isinstance(one, Alerter))
    headers = {"authorization": f"Bearer {stage.keys.admin}"}
    async with httpx2.AsyncClient(base_url=stage.url, headers=headers) as client:
        body = {"name": BROKEN, "url": "http://127.0.0.1:1/hook", "description": "a night shift's"}
        made = await client.post("/v1/endpoints", json=body)
        assert made.status_code == 201, made.text
        sent = await client.post(f"/v1/endpoints/{BROKEN}/test")
        assert sent.status_code < 300, sent.text
        while not (await client.get("/v1/deliveries", params={"endpoint": BROKEN})).json()["items"][0]["attempts"]:
            await asyncio.sleep(0.05)
    now = stage.clock.now()
    await alerter.database.write(lambda c: outbox.disable(c, BROKEN, "it failed for five days", now, pages))


async def _deliveries(page: Page, stage: Stage) -> list[tuple[str, str]]:
    """A delivery that arrived, and one that did not."""
    await page.goto(f"{stage.url}/console/endpoints")
    paths = []
    for name, place in (
        ("delivered", f'section:not([aria-labelledby="e-{BROKEN}"])'),
        ("refused", f'section[aria-labelledby="e-{BROKEN}"]'),
    ):
        path = await page.locator(f'{place} a[id^="d-"]').first.get_attribute("href")
        assert path is not None
        paths.append((f"delivery-{name}", path))
    return paths


async def _violations(axe: Any, page: Page, where: str) -> list[str]:
    results = await axe.Axe().run(page)
    return [
        f"{where}: {one['impact']} {one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in results.response["violations"]
        if one["impact"] in ("serious", "critical", "moderate")
    ]


async def _picture(page: Page, name: str, otherwise: Path, *, keep: bool) -> None:
    path = (PICTURES if keep and Path(name).stem in PUBLISHED else otherwise) / name
    await page.screenshot(path=path)
    assert path.stat().st_size < MAX_PICTURE_BYTES, name
