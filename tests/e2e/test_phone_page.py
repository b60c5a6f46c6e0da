"""The page behind an acknowledge link on a real phone's screen, in light and dark: axe-core finds nothing, the button is within
reach on the first screen, and only it takes the incident.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alerter.notify.links import LinkSigner
from alerter.service import Alerter
from tests.browser import browser
from tests.e2e.test_console import PHONE, SIDEWAYS, _picture, _violations, staged, watched

LEAST_BUTTON_PIXELS = 64


async def test_whoever_is_woken_takes_it_with_one_thumb(tmp_path: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.async_playwright", reason="axe-core comes with the extra `dev`")
    trouble: list[str] = []
    found: list[str] = []
    async with browser() as opened, staged(tmp_path, "demo.yaml") as stage:
        await stage.play_until(36)
        (alerter,) = (one for one in stage.process.services if isinstance(one, Alerter))
        incident = stage.heard("incident.opened")[0]["data"]["id"]
        signer = LinkSigner(stage.url, alerter.links.key)
        link = signer.acknowledge(incident, "front-desk", alerter.context().wall)
        assert link is not None
        for scheme in ("dark", "light"):
            page = await watched(opened, trouble, viewport=PHONE, color_scheme=scheme, locale="en-GB")
            await page.goto(link)
            found += await _violations(axe, page, f"phone {scheme}")
            assert await page.evaluate(SIDEWAYS) <= 0
            box = await page.locator("button").bounding_box()
            assert box is not None
            assert box["height"] >= LEAST_BUTTON_PIXELS
            assert box["y"] + box["height"] <= PHONE["height"], "the button is on the first screen"
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(17, 18, 20)" if scheme == "dark" else "rgb(246, 246, 244)")
            await _picture(page, f"acknowledge-{scheme}.png", tmp_path, keep=os.environ.get("PICTURES") == "1")
            assert stage.heard("incident.acknowledged") == []
        await page.fill("#by", "Dana")
        await page.click("button")
        assert "You have it until" in await page.inner_text("main")
        found += await _violations(axe, page, "phone, taken")
    assert found == []
    assert trouble == []
