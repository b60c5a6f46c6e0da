"""Describes what ingest takes and answers in the OpenAPI document, from the models and settings: nothing is written twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel

from ingest.claims import Claim
from ingest.schemas import EXAMPLES, InputPart, PostIn, Problem
from services.base.settings import Settings

Schema = dict[str, Any]


def inlined(model: type[BaseModel]) -> Schema:
    """The schema of `model` without references. The body is read by hand, so FastAPI would not list what they point to."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def resolve(part: Any) -> Any:
        if isinstance(part, dict):
            name = part.get("$ref", "").removeprefix("#/$defs/") if isinstance(part.get("$ref"), str) else ""
            if name:
                return resolve({**definitions[name], **{k: v for k, v in part.items() if k != "$ref"}})
            return {key: resolve(value) for key, value in part.items()}
        return [resolve(inner) for inner in part] if isinstance(part, list) else part

    resolved: Schema = resolve(schema)
    return resolved


_ANYTHING: Final[Schema] = {"description": "anything else is ignored, and named in the answer"}


def _with_claims(post: Schema) -> Schema:
    """The schema of a post, saying which fields are claims: what does not fit there is ignored, and rejects no post."""
    author = next(option for option in post["properties"]["author"]["anyOf"] if option.get("type") == "object")
    author.pop("required")
    author["properties"]["id"] = _or_anything(author["properties"]["id"])
    for claim in Claim:
        first, _, second = claim.value.partition(".")
        if claim is Claim.TEXT or first == Claim.COUNTERS:
            continue
        if second:
            author["properties"][second] = _or_anything(author["properties"][second])
        else:
            otherwise = {**_ANYTHING, "not": {"type": "object"}} if claim is Claim.AUTHOR else _ANYTHING
            post["properties"][first] = _or_anything(post["properties"][first], otherwise)
    return post


def _or_anything(field: Schema, otherwise: Schema = _ANYTHING) -> Schema:
    said: Schema = {key: field[key] for key in ("title", "description", "examples", "default") if key in field}
    forms = field.get("anyOf") or [{key: value for key, value in field.items() if key not in said}]
    return {**said, "anyOf": [*forms, otherwise]}


def request_body(settings: Settings) -> Schema:
    """The description of the body (one post, an array, or NDJSON), with the limits of this installation."""
    post = _with_claims(inlined(PostIn))
    text = next(option for option in post["properties"]["text"]["anyOf"] if option.get("type") == "string")
    text["maxLength"] = settings.max_text_chars
    many = {"type": "array", "items": post, "minItems": 1, "maxItems": settings.max_batch_posts}
    lines = "".join(f"{json.dumps(example)}\n" for example in EXAMPLES[:2])
    return {
        "required": True,
        "description": f"At most {settings.max_body_bytes} bytes and {settings.max_batch_posts} posts. May be gzipped. "
        "A byte-order mark is read over, and what begins with that of UTF-16 is read as UTF-16.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [post, many]},
                "examples": {
                    "one": {"summary": "One post", "value": EXAMPLES[0]},
                    "batch": {"summary": "Several, of every kind", "value": EXAMPLES},
                },
            },
            "application/x-ndjson": {
                "schema": {
                    "type": "string",
                    "description": "One post on each line. A line that cannot be read affects no other.",
                },
                "examples": {"lines": {"summary": "Two posts", "value": lines}},
            },
        },
    }


def _refusal(description: str, *, retry: bool = False) -> Schema:
    answer: Schema = {
        "description": description,
        "content": {"application/problem+json": {"schema": inlined(Problem)}},
    }
    if retry:
        answer["headers"] = {
            "Retry-After": {
                "description": "Seconds to wait",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return answer


RESPONSES: Final[dict[int | str, Schema]] = {
    202: {"description": "Every post marked `accepted` is stored. The others were rejected, with the reason."},
    400: _refusal("The body is not JSON, with line and column, or it contains no post."),
    401: _refusal("The API key is missing or unknown."),
    408: _refusal("The body did not arrive in time."),
    413: _refusal("The request has too many bytes or posts. Send fewer at once."),
    415: _refusal("The content type or encoding is not supported."),
    422: _refusal("Every post was rejected; `results` says why."),
    429: _refusal("The API key is over its rate limit.", retry=True),
    500: _refusal("Internal error. A retry is safe."),
    503: _refusal(
        "Stopping, overloaded, the scorer is too far behind, or the event log cannot be reached.", retry=True
    ),
}


def reports_body(kind: type[InputPart], most: int, examples: Sequence[Any]) -> Schema:
    """The description of a body with reports of this kind: one report, an array, or NDJSON."""
    report = inlined(kind)
    many = {"type": "array", "items": report, "minItems": 1, "maxItems": most}
    lines = "".join(f"{json.dumps(example)}\n" for example in examples[:2])
    return {
        "required": True,
        "description": f"At most {most} reports. May be gzipped.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [report, many]},
                "examples": {
                    "one": {"summary": "One report", "value": examples[0]},
                    "several": {"summary": "Several, one after the other", "value": examples[1:]},
                },
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "description": "One report on each line."},
                "examples": {"lines": {"summary": "Two reports", "value": lines}},
            },
        },
    }
