"""The description is true: schemathesis plays it against the service and finds nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from ingest.schemas import EXAMPLES
from ingest.service import build
from services.eventlog.sqlite import SqliteLog
from tests.integration.ingest.desk import KEY, Desk, context_of


def described_app(path: Path) -> FastAPI:
    """Started by its lifespan, because schemathesis brings a loop of its own."""
    log = SqliteLog(path / "log.db", retention=False)
    context = context_of(log, key_posts_burst=1e9, max_body_bytes=100_000, max_batch_posts=5)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await log.start()
        yield
        await log.close()

    app = FastAPI(lifespan=lifespan)
    build(context).mount(app)
    return app


@pytest.fixture
def description(tmp_path: Path) -> Iterator[Any]:
    yield schemathesis.openapi.from_asgi("/openapi.json", described_app(tmp_path))
    shutdown_lifespans()  # at the exit of the process would be too late for the check for leaks


@pytest.mark.parametrize("path", ["/v1/coverage", "/v1/authors"])
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_nothing_in_what_connectors_report(
    description: Any, mode: GenerationMode, path: str
) -> None:
    @given(description[path]["POST"].as_strategy(generation_mode=mode))
    @settings(max_examples=40, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def play(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers={"Authorization": f"Bearer {KEY}"})
        statuses[response.status_code] += 1
        case.validate_response(response, excluded_checks=[negative_data_rejection, positive_data_acceptance])

    statuses: Counter[int] = Counter()
    play()
    assert statuses[202] or mode is GenerationMode.NEGATIVE, statuses


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_nothing(description: Any, mode: GenerationMode) -> None:
    @given(description["/v1/posts"]["POST"].as_strategy(generation_mode=mode))
    @settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
    def play(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers={"Authorization": f"Bearer {KEY}"})
        statuses[response.status_code] += 1
        # These two want one answer for a whole batch, and no rules across fields, which JSON Schema cannot say:
        # a batch with one bad item is a 202, and a reply without a parent is well-formed and a 422.
        case.validate_response(response, excluded_checks=[negative_data_rejection, positive_data_acceptance])
        if response.status_code in (202, 422) and isinstance(case.body, dict | list):
            items = case.body if isinstance(case.body, list) else [case.body]
            results = response.json()["results"]
            assert [result["index"] for result in results] == list(range(len(items)))

    statuses: Counter[int] = Counter()
    play()
    assert set(statuses) <= {202, 400, 401, 413, 415, 422}
    assert statuses[202 if mode is GenerationMode.POSITIVE else 422] > 0, statuses


async def described(desk: Desk) -> dict[str, Any]:
    description: dict[str, Any] = (await desk.client.get("/openapi.json")).json()
    return description


async def test_every_documented_example_is_accepted(desk: Desk) -> None:
    operation = (await described(desk))["paths"]["/v1/posts"]["post"]
    for kind, content in operation["requestBody"]["content"].items():
        for example in content["examples"].values():
            value = example["value"]
            answer: httpx2.Response = await desk.post(value.encode() if isinstance(value, str) else value, kind)
            assert answer.status_code == 202
            assert {result["status"] for result in answer.json()["results"]} == {"accepted"}


async def test_every_answer_and_the_key_are_described(desk: Desk) -> None:
    description = await described(desk)
    operation = description["paths"]["/v1/posts"]["post"]
    assert set(operation["responses"]) == {"202", "400", "401", "408", "413", "415", "422", "429", "500", "503"}
    assert operation["security"] == [{"ApiKey": []}]
    assert description["components"]["securitySchemes"]["ApiKey"]["scheme"] == "bearer"
    (one, many) = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert one["required"] == ["network", "post_id", "kind"]
    assert many["maxItems"] == desk.context.settings.max_batch_posts
    assert one["examples"] == EXAMPLES
    assert "$ref" not in str(one)
