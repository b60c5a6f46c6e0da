"""Who reads the metrics, where, and whether they name brands: as the operator sets it."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr, ValidationError

from services.base.settings import Settings
from services.runtime.process import Process
from tests.unit.services.test_process import CONFIG, readiness, running, settings

TOKEN = "a-token-for-scraping"


def with_settings(folder: Path, **more: object) -> Process:
    return Process(settings(folder).model_copy(update={"sentiment": "lexicon", **more}), CONFIG, ("scorer",))


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "Bearer",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer \u00fc\u00fc\u00fc",
        TOKEN,
    ],
)
async def test_without_the_token_there_are_no_metrics(tmp_path: Path, given: str | None) -> None:
    async with running(with_settings(tmp_path, metrics_token=SecretStr(TOKEN))) as client:
        headers = httpx2.Headers([] if given is None else [(b"authorization", given.encode())])
        refused = await client.get("/metrics", headers=headers)
        assert refused.status_code == 401
        assert "firebreak_ready" not in refused.text
        assert TOKEN not in refused.text
        for scheme in ("Bearer", "bearer"):
            answer = await client.get("/metrics", headers={"authorization": f"{scheme} {TOKEN}"})
            assert answer.status_code == 200
            assert "firebreak_ready" in answer.text
        assert (await client.get("/healthz")).status_code == 200, "probes have no token"


async def test_on_a_port_of_their_own_metrics_are_nowhere_else(tmp_path: Path) -> None:
    process = with_settings(tmp_path, metrics_port=0)
    assert process.metrics_server is not None
    async with running(process) as client, httpx2.AsyncClient(base_url=process.metrics_server.url) as scraper:
        await readiness(client)
        assert (await client.get("/metrics")).status_code == 404
        answer = await scraper.get("/metrics")
        assert 'firebreak_ready{service="scorer"} 1.0' in answer.text
        for path in ("/", "/healthz", "/docs", "/openapi.json", "/v1/incidents", "/console"):
            assert (await scraper.get(path)).status_code == 404


async def test_a_port_and_a_token_go_together(tmp_path: Path) -> None:
    process = with_settings(tmp_path, metrics_port=0, metrics_token=SecretStr(TOKEN))
    assert process.metrics_server is not None
    async with running(process), httpx2.AsyncClient(base_url=process.metrics_server.url) as scraper:
        assert (await scraper.get("/metrics")).status_code == 401
        assert (await scraper.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200


@pytest.mark.parametrize("short", ["", "short", "fifteen-letters"])
def test_a_token_that_can_be_guessed_is_refused(short: str) -> None:
    with pytest.raises(ValidationError, match="metrics_token"):
        Settings(metrics_token=SecretStr(short))


async def test_without_brands_the_series_of_all_brands_are_one(tmp_path: Path) -> None:
    process = with_settings(tmp_path, metrics_brands=False)
    metrics = process.services[0]._metrics  # type: ignore[attr-defined]
    metrics.count_brand("acme", 3, 2)
    metrics.count_brand("blue", 4, 1)
    metrics.count_unread("acme", "de")
    metrics.count_unread("blue", "de")
    metrics.count_unread("blue", "fr")
    async with running(process) as client:
        text = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert not [sample for sample in samples if "brand" in sample.labels]
    assert "acme" not in text
    assert "blue" not in text
    found = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    assert found["firebreak_scorer_brand_posts_total",] == 7
    assert found["firebreak_scorer_brand_negative_posts_total",] == 3
    assert found["firebreak_scorer_unread_posts_total", "de"] == 2
    assert found["firebreak_scorer_unread_posts_total", "fr"] == 1
    assert found["firebreak_live", "scorer"] == 1, "what names no brand is as it was"


async def test_with_brands_each_has_its_series(tmp_path: Path) -> None:
    process = with_settings(tmp_path)
    process.services[0]._metrics.count_brand("acme", 3, 2)  # type: ignore[attr-defined]
    async with running(process) as client:
        assert 'firebreak_scorer_brand_posts_total{brand="acme"} 3.0' in (await client.get("/metrics")).text
