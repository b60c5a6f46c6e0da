"""`/docs`: every route with its fields as one page, made of the OpenAPI document. It needs no script, no other host and no
network, so that it reads the same in a closed network as anywhere else, under the policy of all our pages."""

from __future__ import annotations

import asyncio
import html
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse

STYLE: Final = "/docs/style.css"
PAGE_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every page that we serve: our own files and nothing else, no inline script or style, no other site's anything."""

Schema = Mapping[str, Any]
_CODE: Final = re.compile("`([^`]*)`")
_AS_CODE: Final = r"<code>\1</code>"
_LIMITS: Final = (
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "pattern",
    "format",
    "default",
)


def mount_reference(app: FastAPI) -> None:
    """Add `/docs` and `/openapi.json`. The document is made by a thread when it is first asked for: that takes a second."""
    made: list[str] = []

    @app.get("/openapi.json", include_in_schema=False)
    async def document() -> JSONResponse:
        return JSONResponse(await asyncio.to_thread(app.openapi))

    @app.get("/docs", include_in_schema=False)
    async def reference() -> Response:
        if not made:
            made.append(await asyncio.to_thread(lambda: page(app.openapi())))
        return Response(made[0], media_type="text/html", headers=PAGE_HEADERS)

    @app.get(STYLE, include_in_schema=False)
    async def style() -> Response:
        return Response(_style(), media_type="text/css", headers={"x-content-type-options": "nosniff"})


@cache
def _style() -> bytes:
    return (files("services.runtime") / "reference.css").read_bytes()


def page(document: Schema) -> str:
    """The whole document as HTML."""
    by_tag: defaultdict[str, list[str]] = defaultdict(list)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag[(operation.get("tags") or ["other"])[0]].append(_operation(method.upper(), path, operation))
    for name, methods in document.get("webhooks", {}).items():
        by_tag["webhooks"].extend(_operation(method.upper(), name, operation) for method, operation in methods.items())
    schemas = document.get("components", {}).get("schemas", {})
    contents = "".join(f'<li><a href="#tag-{_text(tag)}">{_text(tag)}</a></li>' for tag in [*by_tag, "schemas"])
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, '
        f'initial-scale=1"><meta name="color-scheme" content="light dark"><title>{_text(info["title"])} API</title>'
        f'<link rel="stylesheet" href="{STYLE}"></head><body><main><h1>{_text(info["title"])} API</h1>'
        f"<p>{_text(info.get('summary', ''))}</p>"
        '<p>For programs: <a href="/openapi.json">the same as an OpenAPI document</a>. '
        "Send a key as <code>Authorization: Bearer KEY</code>.</p>"
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>'
        + "".join(_section(tag, parts) for tag, parts in by_tag.items())
        + _section("schemas", (_named(name, schema) for name, schema in sorted(schemas.items())))
        + "</main></body></html>"
    )


def _section(tag: str, parts: Iterable[str]) -> str:
    return f'<section><h2 id="tag-{_text(tag)}">{_text(tag)}</h2>{"".join(parts)}</section>'


def _operation(method: str, path: str, operation: Schema) -> str:
    fields = [
        (f"{one['name']} ({one['in']})", one.get("required", False), {**one["schema"], **_said(one)})
        for one in operation.get("parameters", ())
        if "schema" in one
    ]
    body = operation.get("requestBody", {})
    bodies = "".join(
        f"<h4>Body, <code>{_text(kind)}</code></h4>{_words(body.get('description', ''))}{_kind(content.get('schema', {}))}"
        for kind, content in body.get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{_text(status)}</td><td>{_words(answer.get('description', ''))}</td><td>{_answer(answer)}</td></tr>"
        for status, answer in operation.get("responses", {}).items()
    )
    return (
        f'<article><h3 id="{_text(operation.get("operationId", path))}"><code>{method} {_text(path)}</code></h3>'
        f"<p><b>{_text(operation.get('summary', ''))}</b></p>{_words(operation.get('description', ''))}"
        f'{_table(fields)}{bodies}<h4>Answers</h4><div class="wide"><table>{answers}</table></div></article>'
    )


def _answer(answer: Schema) -> str:
    return " or ".join(_kind(content.get("schema", {})) for content in answer.get("content", {}).values())


def _named(name: str, schema: Schema) -> str:
    about = f"{_words(schema.get('description', ''))}{_kind(schema)}"
    return f'<article><h3 id="schema-{_text(name)}">{_text(name)}</h3>{about}</article>'


def _table(fields: Iterable[tuple[str, bool, Schema]]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{_text(name)}</code>{"" if optional else " <b>required</b>"}</th>'
        f"<td>{_kind(schema)}{_words(schema.get('description', ''))}</td></tr>"
        for name, optional, schema in ((name, not required, schema) for name, required, schema in fields)
    )
    return f'<div class="wide"><table>{rows}</table></div>' if rows else ""


def _kind(schema: Schema) -> str:
    """What a value may be, in words, with a table of the fields of an object."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#schema-{_text(name)}">{_text(name)}</a>'
    if "properties" in schema:
        required = schema.get("required", ())
        return _table((name, name in required, field) for name, field in schema["properties"].items())
    for several, joint in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if several in schema:
            return joint.join(_kind(one) for one in schema[several])
    if "const" in schema:
        return f"<code>{_text(schema['const'])}</code>"
    if "enum" in schema:
        return "one of " + ", ".join(f"<code>{_text(value)}</code>" for value in schema["enum"])
    limits = ", ".join(f"{name} <code>{_text(schema[name])}</code>" for name in _LIMITS if schema.get(name) is not None)
    more = f" <small>({limits})</small>" if limits else ""
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}{more}"
    if isinstance(schema.get("additionalProperties"), Mapping):
        return f"names, each with {_kind(schema['additionalProperties'])}{more}"
    return f"{_text(schema.get('type', 'anything'))}{more}"


def _said(parameter: Schema) -> Schema:
    return {"description": parameter["description"]} if "description" in parameter else {}


def _words(text: str) -> str:
    """A description: its paragraphs, and what stands in backticks as code."""
    paragraphs = (_text(part.strip()) for part in text.split("\n\n") if part.strip())
    return "".join(f"<p>{_CODE.sub(_AS_CODE, part)}</p>" for part in paragraphs)


def _text(value: object) -> str:
    return html.escape(str(value))
