"""What `POST /v1/posts` looks like in the OpenAPI document: derived from the models and the settings, never written twice."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel

from ingest.schemas import EXAMPLES, PostIn, Problem
from services.base.settings import Settings

Schema = dict[str, Any]


def inlined(model: type[BaseModel]) -> Schema:
    """The schema of `model` without references: the body is read by hand, so FastAPI would not list what they point to."""
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


def request_body(settings: Settings) -> Schema:
    """One post, an array, or NDJSON, with the limits of this installation."""
    post = inlined(PostIn)
    text = next(option for option in post["properties"]["text"]["anyOf"] if option.get("type") == "string")
    text["maxLength"] = settings.max_text_chars
    many = {"type": "array", "items": post, "minItems": 1, "maxItems": settings.max_batch_posts}
    lines = "".join(f"{json.dumps(example)}\n" for example in EXAMPLES[:2])
    return {
        "required": True,
        "description": f"At most {settings.max_body_bytes} bytes and {settings.max_batch_posts} posts; gzip is read too.",
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
                    "description": "One post a line; a line that cannot be read loses no other.",
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
    202: {"description": "The log has every post marked accepted; the others say why not."},
    400: _refusal("No JSON, or no post in it. Names line and column."),
    401: _refusal("No API key, or none of ours."),
    408: _refusal("The body took too long."),
    413: _refusal("Too many bytes or posts. Send less at once."),
    415: _refusal("Another content type or encoding than is read here."),
    422: _refusal("Every post was read and rejected; `results` says why."),
    429: _refusal("The key is over its rate.", retry=True),
    500: _refusal("Something of ours went wrong. A retry is safe."),
    503: _refusal("Not now: stopping, overloaded, the scorer is behind, or the log is away.", retry=True),
}
