"""Who is who at a help desk: customers write about the brand, and what colleagues answer is the brand's own word.

The brand's answers carry the handle of its account on this network, which is how they are known for answers. Without such an
account they would count as more words of customers, so a help desk needs one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from ingest.sources.base import SourceContext
from ingest.sources.hooks.items import Item, Owners, author, post
from services.base.errors import ConfigError
from services.config.connectors.helpdesks import HelpdeskSection
from services.contracts.post import PostKind


class Written(NamedTuple):
    """Words in a ticket, and who wrote them."""

    post_id: str
    ticket: str
    person: str | None
    by_brand: bool
    text: str | None
    at: str | None
    permalink: str | None


@dataclass(frozen=True, slots=True)
class HelpDesk:
    network: str
    account: str
    """The handle under which colleagues answer."""
    brands: tuple[str, ...]
    url: str | None

    def item(self, written: Written) -> Item:
        """The words as an item: the ticket itself, or a reply in it."""
        opens = written.post_id == written.ticket
        place: dict[str, Any] = {} if opens else {"root_id": written.ticket, "parent_id": written.ticket}
        if not opens and not written.by_brand:
            place["reply_to"] = self.account
        return post(
            self.network,
            PostKind.ORIGINAL if opens else PostKind.REPLY,
            written.post_id,
            **place,
            author=author(written.person, self.account if written.by_brand else None),
            text=written.text,
            permalink=written.permalink,
            platform_at=written.at,
            brands=list(self.brands),
        )

    def deletion(self, post_id: str, ticket: str, at: str | None) -> Item:
        return post(self.network, PostKind.DELETION, post_id, **_inside(post_id, ticket), platform_at=at)

    def hidden(self, post_id: str, ticket: str, at: str | None) -> Item:
        return post(
            self.network, PostKind.VISIBILITY, post_id, **_inside(post_id, ticket), visible=False, platform_at=at
        )

    def link(self, path: str) -> str | None:
        return None if self.url is None else f"{self.url.rstrip('/')}/{path}"


def desk_of(context: SourceContext, options: HelpdeskSection) -> HelpDesk:
    """Raises `ConfigError` if it is not clear under which account colleagues answer."""
    owners = Owners(context.network, context.brands, {}, chosen=bool(options.brands))
    account = options.account or owners.only
    if account is None or owners.handle(account.removeprefix("@")) is None:
        raise ConfigError(
            f"the source {options.name!r} needs the account under which colleagues answer: give a brand an account on the "
            f"network {context.network!r}, and name it in `account` if there are several"
        )
    handle = account.removeprefix("@")
    return HelpDesk(context.network, handle, owners.brands(handle), options.url)


def _inside(post_id: str, ticket: str) -> dict[str, Any]:
    return {} if post_id == ticket else {"root_id": ticket, "parent_id": ticket}
