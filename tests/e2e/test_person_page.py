"""A drill and a person's own page in a real browser, on a desk and on a phone, in light and dark: axe-core finds nothing, one
thumb confirms a test page, and a code that came by a method confirms it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest

from alerter.notify.links import LinkSigner
from alerter.service import Alerter
from tests.browser import browser
from tests.e2e.test_console import PHONE, SIDEWAYS, WIDE, Stage, _violations, sign_in, staged, watched
from tests.e2e.test_phone_page import LEAST_BUTTON_PIXELS
from tests.patience import PATIENCE_SECONDS

LOOKS = (("light", WIDE), ("dark", WIDE), ("light", PHONE), ("dark", PHONE))


async def came(stage: Stage, kind: str, count: int = 1) -> Any:
    """The newest message of this type, once there are as many."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(stage.heard(kind)) < count:
            await asyncio.sleep(0.02)
    return stage.heard(kind)[-1]


async def begun(stage: Stage) -> Any:
    headers = {"authorization": f"Bearer {stage.keys.admin}"}
    async with httpx2.AsyncClient(base_url=stage.url, headers=headers) as client:
        answer = await client.post("/v1/drills", json={"by": "ada"})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_person_confirms_a_drill_and_a_method_and_the_pages_are_fit_for_everybody(tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core comes with the extra `dev`")
    trouble: list[str] = []
    found: list[str] = []

    async def look(page: Any, name: str) -> None:
        found.extend(await _violations(axe, page, name))
        assert await page.evaluate(SIDEWAYS) <= 0, name
        await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)

    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        drill = await begun(stage)
        (called,) = drill["people"]
        assert (await came(stage, "page.test"))["data"]["responder"] == called["responder"]
        (alerter,) = (one for one in stage.process.services if isinstance(one, Alerter))
        signer = LinkSigner(stage.url, alerter.links.key)
        link = signer.confirm(drill["id"], called["responder"], "front-desk", alerter.context().wall)
        assert link is not None
        person = f"{stage.url}/console/people/{called['responder']}"
        for scheme, size in LOOKS:
            page = await watched(opened, trouble, viewport=size, color_scheme=scheme, timezone_id="UTC", locale="en-GB")
            await sign_in(page, stage, called["responder"])
            for name, url in (("before", person), ("on-call-open", f"{stage.url}/console/on-call")):
                await page.goto(url)
                await look(page, f"{name}-{scheme}-{size['width']}")
        for scheme in ("dark", "light"):
            phone = await watched(opened, trouble, viewport=PHONE, color_scheme=scheme, locale="en-GB")
            await phone.goto(link)
            await look(phone, f"drill-{scheme}")
            box = await phone.locator("button").bounding_box()
            assert box is not None
            assert box["height"] >= LEAST_BUTTON_PIXELS
            assert box["y"] + box["height"] <= PHONE["height"], "the button is on the first screen"
        await phone.click("button")
        assert "It reached you" in await phone.inner_text("main")
        await look(phone, "drill-confirmed")

        await page.goto(person)
        assert "It reached" in await page.inner_text("#drill")
        await page.goto(f"{stage.url}/console/people/lee")
        await page.click("#c-front-desk")
        code = (await came(stage, "method.code"))["data"]["code"]
        await look(page, "code-sent")
        await page.fill("#code-front-desk", code)
        await page.keyboard.press("Enter")
        await page.wait_for_selector("#m-front-desk .fine")
        for scheme, size in LOOKS:
            page = await watched(opened, trouble, viewport=size, color_scheme=scheme, timezone_id="UTC", locale="en-GB")
            await sign_in(page, stage, called["responder"])
            for name, url in (("confirmed", person), ("on-call", f"{stage.url}/console/on-call")):
                await page.goto(url)
                await look(page, f"{name}-{scheme}-{size['width']}")
        assert "1 of 1 confirmed" in await page.inner_text("#people-list")
    assert found == []
    assert trouble == []
