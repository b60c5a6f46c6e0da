"""The API: closed without the key, honest about its errors, never showing a secret, and as its description says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.python.asgi import shutdown_lifespans
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from alerter.service import Alerter
from services.contracts.signal import Level
from tests.integration.alerter.conftest import KEY, House, MakeHouse
from tests.unit.alerter import make

ITEMS = ("/v1/responders", "/v1/schedules", "/v1/policies")
ITEM = ("/v1/responders/{responder}", "/v1/schedules/{schedule}", "/v1/policies/{policy}")
EXACTING = (
    *("/v1/absences", "/v1/endpoints", "/v1/endpoints/{name}", "/v1/keys", "/v1/silences", "/v1/silences/{silence}"),
    *(*ITEMS, *ITEM, *(f"{path}/preview" for path in ITEM)),
)
ROUTES = [
    ("GET", "/v1/endpoints"),
    ("POST", "/v1/endpoints"),
    ("DELETE", "/v1/endpoints/desk"),
    ("POST", "/v1/endpoints/desk/test"),
    ("GET", "/v1/incidents"),
    ("GET", "/v1/incidents/" + "0" * 32),
    ("GET", "/v1/incidents/" + "0" * 32 + "/explain"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/acknowledge"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/resolve"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/snooze"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/reassign"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/reopen"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/outcome"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/severity"),
    ("POST", "/v1/incidents/" + "0" * 32 + "/playbook"),
    ("POST", "/v1/incidents/bulk"),
    ("GET", "/v1/outcomes"),
    ("GET", "/v1/answer-clocks"),
    *(("POST", f"/v1/answer-clocks/{what}") for what in ("answer", "dismiss", "assign", "snooze", "reopen")),
    ("GET", "/v1/silences"),
    ("POST", "/v1/silences"),
    ("GET", "/v1/silences/" + "0" * 32),
    ("DELETE", "/v1/silences/" + "0" * 32),
    ("GET", "/v1/absences"),
    ("POST", "/v1/absences"),
    ("DELETE", "/v1/absences/" + "0" * 32),
    ("GET", "/v1/responders"),
    ("PUT", "/v1/responders/lee"),
    ("POST", "/v1/schedules"),
    ("POST", "/v1/schedules/night/preview"),
    ("PATCH", "/v1/policies/default"),
    ("DELETE", "/v1/policies/default"),
    ("GET", "/v1/policies/default/versions"),
    ("PATCH", "/v1/silences/" + "0" * 32),
    ("GET", "/v1/schedules/night/open-shifts"),
    ("POST", "/v1/schedules/night/swaps"),
    ("GET", "/v1/deliveries"),
    ("GET", "/v1/keys"),
    ("POST", "/v1/keys"),
    ("DELETE", "/v1/keys/desk"),
    ("GET", "/v1/audit"),
    ("POST", "/v1/deliveries/msg_" + "0" * 32 + "/resend"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_the_key_nothing_is_said_not_even_what_is_wrong(house: House, method: str, path: str) -> None:
    for given_key in (None, "Bearer wrong", f"Basic {KEY}", "Bearer", f"Bearer {KEY}x", "Bearer \u00ff"):
        headers: dict[bytes, bytes] = {} if given_key is None else {b"authorization": given_key.encode()}
        house.http.headers.pop("authorization", None)
        answer = await house.http.request(method, path, content=b"not json", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json()["status"] == 401


async def test_an_installation_without_a_key_stays_closed(make_house: MakeHouse) -> None:
    house = make_house(admin_key=None)
    async with house.running():
        for key in ("", "None", KEY):
            answer = await house.http.get("/v1/incidents", headers={"authorization": f"Bearer {key}"})
            assert answer.status_code == 401


async def test_a_secret_is_shown_once_and_never_again(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    url = house.receiver.url("/hook?sig=very-private")
    made = await house.http.post("/v1/endpoints", json={"name": "second", "url": url})
    secret = made.json()["secret"]
    assert secret.startswith("whsec_")
    again = await house.http.post("/v1/endpoints", json={"name": "second", "url": url})
    assert again.status_code == 409
    bad = await house.http.post("/v1/endpoints", json={"name": "third", "url": "https://u:very-private@x.example"})
    assert bad.status_code == 422
    await house.http.post("/v1/endpoints/second/test")
    house.receiver.answers["/hook?sig=very-private"] = lambda *_: asyncio.sleep(0)
    await house.signal(make.forecast())
    await house.settle()
    said = [again.text, bad.text, capsys.readouterr().out]
    paths = ("/v1/endpoints", "/v1/deliveries", "/v1/incidents", "/openapi.json")
    said += [(await house.http.get(path)).text for path in paths]
    assert not [
        text for text in said if "very-private" in text or secret in text or secret.removeprefix("whsec_") in text
    ]
    (listed,) = [e for e in (await house.http.get("/v1/endpoints")).json()["items"] if e["name"] == "second"]
    assert listed["target"] == house.receiver.url("")


async def test_what_is_not_valid_is_named_without_its_value(house: House) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"name": "UPPER", "url": "https://x.example"}, "body.name"),
        ({"name": "x", "url": "ftp://x.example/private-part"}, "body.url"),
        ({"name": "x", "url": "http://10.0.0.1/private-part"}, "body.url"),
        ({"name": "x", "url": "https://x.example", "brands": ["nobody"]}, "body.brands"),
        ({"name": "x", "url": "https://x.example", "private-part": 1}, "body.private-part"),
    ]
    for body, place in cases:
        answer = await house.http.post("/v1/endpoints", json=body)
        assert answer.status_code == 422
        problem = answer.json()
        assert problem["errors"][0]["at"] == place
        if place == "body.url":
            assert "private-part" not in answer.text
    for raw in (b"\xff", b"{", b"", b"[]", b"null"):
        answer = await house.http.post("/v1/endpoints", content=raw, headers={"content-type": "application/json"})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
    assert (await house.http.get("/v1/incidents?cursor=nonsense")).status_code == 422
    assert (await house.http.get("/v1/incidents?stat=active")).status_code == 422
    assert (await house.http.get("/v1/incidents/nonsense")).status_code == 422
    assert (await house.http.get("/v1/incidents/" + "0" * 32)).status_code == 404


async def test_pages_hold_everything_once_newest_first(house: House) -> None:
    for n in range(7):
        await house.signal(make.forecast(story=f"bsky:s{n}", brand="acme" if n % 2 else "other"))
        await house.settle()
        house.clock.advance(1)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": "3"} | ({"cursor": cursor} if cursor else {})
        page = (await house.http.get("/v1/incidents", params=query)).json()
        seen += [item["story"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"bsky:s{n}" for n in range(6, -1, -1)]
    assert len((await house.http.get("/v1/incidents?brand=other")).json()["items"]) == 4
    assert (await house.http.get("/v1/incidents?state=resolved")).json()["items"] == []
    first = (await house.http.get("/v1/deliveries?limit=2")).json()
    second = (await house.http.get("/v1/deliveries", params={"limit": "2", "cursor": first["next"]})).json()
    assert len({d["id"] for d in first["items"] + second["items"]}) == 4


async def test_before_the_start_it_says_so(make_house: MakeHouse) -> None:
    house = make_house()
    async with house.running():
        house.alerter.started = False
        answer = await house.http.get("/v1/incidents")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        house.alerter.started = True


async def test_the_webhooks_are_described_too(house: House) -> None:
    description = (await house.http.get("/openapi.json")).json()
    assert set(description["webhooks"]) == {
        *(f"incident.{change}" for change in ("opened", "updated", "escalated", "acknowledged", "resolved")),
        *(f"endpoint.{news}" for news in ("failing", "recovered", "disabled", "test")),
        "post.redacted",
        "post.edited",
        *(f"log.{news}" for news in ("restored", "dropped")),
        *(f"page.{what}" for what in ("test", "over")),
        "method.code",
        *(f"config.{outcome}" for outcome in ("refused", "accepted")),
        "answer.due",
    }
    await house.signal(make.forecast(), make.forecast(2, Level.CROSSED))
    await house.settle()
    reference = description["webhooks"]["incident.opened"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    import jsonschema_rs

    schema = {**reference, "components": description["components"]}
    validator = jsonschema_rs.validator_for(schema)
    for one in house.receiver.at("/desk"):
        assert list(validator.iter_errors(one.body)) == []


def described_app(house: House) -> FastAPI:
    """Started by its lifespan, because schemathesis brings a loop of its own."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with house.running():
            await house.signal(make.forecast())
            await house.settle()
            started.append(house.alerter)
            house.alerter.mount(app)
            app.openapi_schema = None
            yield

    started: list[Alerter] = []
    return FastAPI(lifespan=lifespan)


@pytest.fixture
def description(make_house: MakeHouse, tmp_path: Path) -> Iterator[Any]:  # noqa: ARG001
    yield schemathesis.openapi.from_asgi("/openapi.json", described_app(make_house()))
    shutdown_lifespans()  # at the exit of the process would be too late for the check for leaks


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_schemathesis_finds_nothing(description: Any, mode: GenerationMode) -> None:
    statuses: Counter[int] = Counter()
    for result in description.get_all_operations():
        operation = result.ok()
        if not operation.path.startswith("/v1") or (mode is GenerationMode.NEGATIVE and not _can_be_wrong(operation)):
            continue

        @given(operation.as_strategy(generation_mode=mode))
        @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
        def play(case: schemathesis.Case[Any]) -> None:
            told = case.query or case.path_parameters or case.operation.body
            if mode is GenerationMode.NEGATIVE and not told:
                return  # only the header was wrong, which is put right here
            response = case.call(headers={"Authorization": f"Bearer {KEY}"})
            statuses[response.status_code] += 1
            # What a JSON schema cannot say: where a URL may lead, which headers are ours, which brands there are, which
            # cursors are ours, of which times a schedule can say anything, and who and what else is declared.
            bounded = {"cursor", "at", "begins"} & (case.query or {}).keys()
            beyond = bool(bounded) or case.path in EXACTING
            excluded: list[Any] = [positive_data_acceptance] if beyond else []
            if len(parse_qs(urlsplit(str(response.request.url)).query, keep_blank_values=True)) < len(case.query or {}):
                excluded.append(negative_data_rejection)  # what was wrong (an empty list, a null) never was on the wire
            case.validate_response(response, excluded_checks=excluded)
            if response.status_code >= 400:
                assert json.loads(response.content)["status"] == response.status_code

        play()
    assert set(statuses) <= {200, 201, 202, 204, 401, 404, 405, 409, 422}
    assert statuses[200 if mode is GenerationMode.POSITIVE else 422] > 0, statuses


def _can_be_wrong(operation: Any) -> bool:
    return bool(operation.body or list(operation.iter_parameters()))
