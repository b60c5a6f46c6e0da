"""What holds of every route of a whole process: none waits for half a request, breaks on a hostile body, or sends anybody to
the host that the request names."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from html.parser import HTMLParser
from pathlib import Path

from services.runtime.connections import CloseReason
from services.runtime.reference import page
from tests.integration.server.routes import Running, host_of, running
from tests.patience import PATIENCE_SECONDS

KINDS = ("application/json", "application/x-www-form-urlencoded", "application/x-ndjson")
DEEP = 50_000
HOSTILE = {
    "nested lists": b"[" * DEEP + b"]" * DEEP,
    "lists that do not end": b"[" * DEEP,
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a nested field": b'{"name":' + b"[" * 5000 + b"]" * 5000 + b"}",
    "a huge number": b'{"name":' + b"9" * 100_000 + b"}",
    "a huge exponent": b'{"name":1e999999}',
    "no numbers": b'{"name":NaN,"brands":[Infinity]}',
    "a key twice": b'{"name":"a","name":"b"}',
    "many keys": b"{" + b",".join(b'"k%d":1' % n for n in range(15_000)) + b"}",
    "half a character": b'{"name":"\\ud800"}',
    "no text": b'{"name":"\xff\xfe"}',
    "many fields": b"&".join(b"k%d=1" % n for n in range(3_000)),
    "not there": b"",
}


async def _drips(run: Running, method: str, path: str, opened: bool) -> tuple[str, bytes]:
    """What the server says to somebody who sends the head, and then a byte of the body now and then."""
    headers = run.headers(path) if opened else {}
    head = [f"{method} {path} HTTP/1.1", "host: a", "content-length: 3000", "content-type: application/json"]
    if path.startswith("/console"):
        head[-1] = "content-type: application/x-www-form-urlencoded"
    reader, writer = await asyncio.open_connection("127.0.0.1", run.port)

    async def drip() -> None:
        with contextlib.suppress(ConnectionError):
            writer.write("\r\n".join([*head, *(f"{n}: {v}" for n, v in headers.items()), "", ""]).encode())
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    said = b""
    try:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                said += piece
    finally:
        dripping.cancel()
        writer.close()
    return f"{method} {path}", said


async def test_every_route_closes_whoever_sends_half_a_body_with_a_key_and_without(tmp_path: Path) -> None:
    async with running(tmp_path, body_timeout_seconds=1.0) as run:
        routes = [(*route, opened) for route in run.routes() for opened in (True, False)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            said = await asyncio.gather(*(_drips(run, *route) for route in routes))
        assert len(said) > 140
        assert [name for name, answer in said if answer and not answer.startswith(b"HTTP/1.1 ")] == []
        assert [name for name, answer in said if b"HTTP/1.1 500" in answer] == []
        for sign_in in ("POST /console/login", "POST /v1/inbound/pagerduty/x", "POST /acknowledge/x"):
            assert [a for n, a in said if n == sign_in and not a.startswith((b"HTTP/1.1 408", b"HTTP/1.1 404"))] == []
        closed = run.process.metrics.http_closed.labels(CloseReason.BODY_TOO_SLOW.value)._value.get()
        assert closed > 120, "the others closed by themselves"
        assert (await run.client.get("/healthz")).status_code == 200


async def test_eight_hundred_slow_heads_are_closed_and_hinder_nobody(tmp_path: Path) -> None:
    async with running(tmp_path, head_timeout_seconds=1.0) as run:

        async def slow(number: int) -> None:
            reader, writer = await asyncio.open_connection("127.0.0.1", run.port)
            writer.write(b"POST /console/login HTTP/1.1\r\nhost: a\r\nx-a: "[: 5 + number % 45])
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()

        async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
            for number in range(800):
                group.create_task(slow(number))
            assert (await run.client.get("/healthz")).status_code == 200
        assert run.process.metrics.http_closed.labels(CloseReason.HEAD_TOO_SLOW.value)._value.get() == 800


async def test_a_hostile_body_is_refused_in_words_on_every_route(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        changing = [route for route in run.routes() if route[0] != "GET"]
        for name, (method, path), kind in itertools.product(HOSTILE, changing, KINDS):
            headers = run.headers(path) | {"content-type": kind, "x-pagerduty-signature": "v1=00"}
            answer = await run.client.request(method, path, content=HOSTILE[name], headers=headers)
            assert answer.status_code < 500, (name, method, path, kind, answer.text[:300])
            assert len(answer.content) < 20_000, (name, method, path)
            assert "Traceback" not in answer.text


async def test_no_redirect_leads_to_the_host_that_the_request_names(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        redirects = 0
        for method, path in run.routes():
            for variant in (path, path + "/", path.rstrip("/") + "//", "//evil.example" + path, path + "/%2e%2e/"):
                for headers in (run.headers(path), {}):
                    hostile = headers | {"host": "evil.example", "x-forwarded-host": "evil.example"}
                    if path.startswith("/console/live"):
                        hostile["accept"] = "text/event-stream"
                        if headers:
                            continue  # a stream does not end
                    answer = await run.client.request(method, f"{run.process.server.url}{variant}", headers=hostile)
                    location = answer.headers.get("location", "")
                    redirects += bool(location)
                    assert host_of(location) == "", (method, variant, location)
                    assert not location.startswith(("//", "/\\")), (method, variant, location)
        assert redirects > 10, "some do redirect"


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def every(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(attribute)) is not None]


async def test_the_reference_needs_no_other_host_and_no_script_and_has_every_route_and_field(tmp_path: Path) -> None:
    async with running(tmp_path) as run:
        answer = await run.client.get("/docs")
        assert answer.status_code == 200
        console = await run.client.get("/console/login")
        policy = answer.headers["content-security-policy"]
        assert policy == console.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        shown = _Page(answer.text)
        assert not {"script", "style", "iframe"} & {tag for tag, _ in shown.elements}
        assert not shown.every("style"), "the policy forbids it"
        addresses = shown.every("href") + shown.every("src")
        assert {one for one in addresses if not one.startswith("#")} == {"/docs/style.css", "/openapi.json"}
        assert {one[1:] for one in addresses if one.startswith("#")} <= set(shown.every("id")), (
            "every link leads somewhere"
        )
        for own in ("/docs/style.css", "/openapi.json"):
            assert (await run.client.get(own)).status_code == 200
        description = (await run.client.get("/openapi.json")).json()
        for path in description["paths"]:
            assert f" {path}</code>" in answer.text
        for schema in description["components"]["schemas"].values():
            for field in schema.get("properties", {}):
                assert f"<code>{field}</code>" in answer.text


def test_what_a_description_says_is_shown_and_not_run() -> None:
    hostile = '<script>alert(1)</script>"`<b>`'
    schema = {
        "type": "object",
        "description": hostile,
        "properties": {hostile: {"enum": [hostile], "description": hostile}},
    }
    operation = {
        "tags": [hostile],
        "summary": hostile,
        "description": hostile,
        "responses": {hostile: {"description": hostile}},
    }
    text = page(
        {
            "info": {"title": hostile, "summary": hostile},
            "paths": {hostile: {"get": operation | {"requestBody": {"content": {hostile: {"schema": schema}}}}}},
            "components": {"schemas": {hostile: schema}},
        }
    )
    assert "<script" not in text
    assert "<b>`" not in text
