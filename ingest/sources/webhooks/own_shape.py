"""Posts in our own shape that come inside an envelope, whose `type` may say what happened to the post. Pure.

A partner who deletes or edits a post says so by the type (`post.deleted`, `com.example.post.edited`), and an author who has to
be forgotten is `author.erased`. An item that ingest would refuse is refused here already, so that the sender is told what is
wrong and where.
"""

from __future__ import annotations

from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core

from ingest.parsing import Malformed, Parser
from ingest.schemas import ItemError
from ingest.sources.hooks.items import Item, LeftOut, Understood, changed_author, identifier
from ingest.sources.hooks.reading import MOST_PARTS
from services.contracts.post import AuthorState, PostKind

KINDS: Final[dict[str, Item]] = {
    "post.deleted": {"kind": PostKind.DELETION.value},
    "post.edited": {"kind": PostKind.EDIT.value},
    "post.hidden": {"kind": PostKind.VISIBILITY.value, "visible": False},
    "post.shown": {"kind": PostKind.VISIBILITY.value, "visible": True},
}
"""What these types say of the item in them, whatever kind it states."""
AUTHORS: Final = {"author.erased": AuthorState.ERASED, "author.reinstated": AuthorState.REINSTATED}
WHICH: Final = ("network", "post_id", "root_id", "parent_id", "quote_of", "platform_at")
"""The fields that a deletion or a change of visibility has: which post it is, and when."""
_PARSER: Final = Parser(MOST_PARTS)


@dataclass(frozen=True, slots=True)
class OwnShape:
    """Takes what is in an envelope. An item that names no network is of the connector's."""

    network: str

    def take(self, type_: str, data: Any, at: Any, found: Understood) -> None:
        """Adds what an envelope of this type says. `at` is its time, for items that state none. Raises `ValueError`."""
        happened = ".".join(type_.split(".")[-2:])
        parts = data if isinstance(data, list) else [data]
        if happened in AUTHORS:
            for part in parts:
                found.authors.append(self._author(part, AUTHORS[happened], at))
            return
        if not happened.startswith("post.") and not all(isinstance(part, dict) and "post_id" in part for part in parts):
            # A ping, or news of something else: a connector that refused them would be switched off by its sender.
            found.leave_out(LeftOut.NOT_HEARD)
            return
        items = [self._item(part, KINDS.get(happened, {}), at) for part in parts]
        check(items)
        found.items.extend(items)

    def _item(self, part: Any, says: Item, at: Any) -> Item:
        if not isinstance(part, dict):
            raise ValueError("`data` is not a post: expected an object")
        item = {"network": self.network, **part, **says}
        if "visible" in says or item.get("kind") == PostKind.DELETION.value:
            item = {name: item[name] for name in (*WHICH, *says) if name in item} | {"kind": item["kind"]}
        if at is not None and item.get("platform_at") is None and item.get("created_at") is None:
            item["platform_at"] = at
        return item

    def _author(self, part: Any, state: AuthorState, at: Any) -> Item:
        author_id = identifier(part.get("author_id")) if isinstance(part, dict) else None
        network = part.get("network", self.network) if isinstance(part, dict) else self.network
        if author_id is None or not isinstance(network, str):
            raise ValueError("`data.author_id` is missing, or is neither a text nor a number")
        return changed_author(network, author_id, state, part.get("at") or at)


def check(items: Sequence[Map[str, Any]]) -> None:
    """Raises `ValueError` with what is wrong and where, if ingest would refuse one of the items."""
    try:
        read = _PARSER.items(pydantic_core.to_json([*items]), ndjson=False)
    except Malformed as error:
        raise ValueError(str(error)) from None
    for index, item in enumerate(read):
        if isinstance(item, ItemError):
            raise ValueError(f"post {index}, {item.field or 'as a whole'}: {item.message}")
