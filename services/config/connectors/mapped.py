"""How items of somebody else's shape become items as `POST /v1/posts` takes them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jmespath
from pydantic import AfterValidator, Field, StringConstraints

from services.config.section import Section


def _compiles(expression: str) -> str:
    try:
        jmespath.compile(expression)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(f"not JMESPath: {str(error).splitlines()[0]}") from None
    return expression


Expression = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_compiles)]
FieldName = Literal[
    "author.created_at", "author.followers", "author.handle", "author.id", "author.verified", "backfill", "brands",
    "counters.likes", "counters.quotes", "counters.replies", "counters.reposts", "counters.views", "created_at", "kind",
    "language", "network", "parent_id", "permalink", "platform_at", "post_id", "quote_of.post_id", "quote_of.root_id",
    "reply_link", "reply_to", "root_id", "text",
]  # fmt: skip


class Mapping(Section):
    """Where the fields of a post are found. What is found nowhere is left out; `network` is that of the source, and `kind`
    is `original`, unless they are mapped."""

    fields: dict[FieldName, Expression] = Field(
        {},
        description="a field of a post, and the JMESPath at which it stands, such as `author.handle: user.screen_name`; "
        "without any, items are posts as `POST /v1/posts` takes them",
    )
    items: Expression | None = Field(
        None, description="the JMESPath of the list of items in a larger document; without it, it is one item"
    )
    always: dict[FieldName, Any] = Field({}, description="fields that are the same in every item")
