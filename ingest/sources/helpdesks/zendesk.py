"""What an event of Zendesk says, as items; and its connector. The mapping is pure.

A ticket is a post with its description, and every public comment a reply. Whether the description is told again as a first
comment depends on the channel: the same words are not stored twice. What is redacted is forgotten whole, because the event does
not say which words were taken out. A customer who is deleted in Zendesk is forgotten here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from ingest.sources.base import SourceContext
from ingest.sources.helpdesks.desk import HelpDesk, Written, desk_of
from ingest.sources.helpdesks.shapes import ZendeskChange, ZendeskEvent, ZendeskMessage, ZendeskTicket
from ingest.sources.hooks.called import CalledSource, secrets_of
from ingest.sources.hooks.items import LeftOut, Understood, changed_author, identifier, moment, needed, words
from ingest.sources.hooks.reading import read
from ingest.sources.hooks.signatures import Hmac
from services.base.errors import ConfigError
from services.config.connectors.helpdesks import ZendeskSection
from services.config.connectors.signing import Encoding
from services.contracts.post import AuthorState

PREFIX: Final = "zen:event-type:"
GONE: Final = frozenset({"ticket.soft_deleted", "ticket.permanently_deleted", "ticket.deleted"})
KEY_PREFIX: Final = "firebreak-"
TAG: Final = "firebreak"
"""What the recipe for Zendesk writes into the tickets that it opens."""
PEOPLE: Final = {"end_user": False, "agent": True}
"""The kinds of actors who write messages, and whether they are colleagues. Triggers and bots are neither."""


@dataclass(frozen=True, slots=True)
class ZendeskMapping:
    desk: HelpDesk

    def __call__(self, body: bytes, now: datetime) -> Understood:
        """Raises `ValueError` if the body cannot be read."""
        event = read(body, ZendeskEvent)
        found = Understood()
        told = event.type.removeprefix(PREFIX)
        if told == "user.deleted":
            person = needed(identifier(event.subject.rpartition(":")[2]), "`subject`: the id of the user")
            found.authors.append(changed_author(self.desk.network, person, AuthorState.ERASED, moment(event.time, now)))
            return found
        if not told.startswith(("ticket.", "messaging_ticket.")):
            found.leave_out(LeftOut.NOT_HEARD)
            return found
        ticket = read(event.detail, ZendeskTicket, "`detail`")
        if _is_ours(ticket):
            found.leave_out(LeftOut.OUR_OWN)
            return found
        number = identifier(ticket.id) or identifier(event.subject.rpartition(":")[2])
        root = f"ticket-{needed(number, '`detail.id`')}"
        at = moment(event.time, now)
        if told == "ticket.created":
            self._opened(ticket, root, moment(ticket.created_at, now) or at, found)
        elif told in GONE:
            found.items.append(self.desk.deletion(root, root, at))
        elif told == "ticket.marked_as_spam":
            found.items.append(self.desk.hidden(root, root, at))
        else:
            self._inside(told, read(event.event, ZendeskChange, "`event`"), ticket, root, at, found)
        return found

    def _opened(self, ticket: ZendeskTicket, root: str, at: str | None, found: Understood) -> None:
        if ticket.is_public is False:
            found.leave_out(LeftOut.PRIVATE)
            return
        asks, wrote = identifier(ticket.requester_id), identifier(ticket.submitter_id)
        by_brand = None not in (asks, wrote) and asks != wrote
        text = words(ticket.description) or words(ticket.subject)
        found.items.append(self.desk.item(Written(root, root, wrote or asks, by_brand, text, at, self._link(root))))

    def _inside(
        self, told: str, change: ZendeskChange, ticket: ZendeskTicket, root: str, at: str | None, found: Understood
    ) -> None:
        said = change.comment or change.message
        if said is None:
            found.leave_out(LeftOut.NOT_HEARD)
            return
        post_id = f"comment-{needed(identifier(said.id), '`event`: the id of the comment')}"
        if told == "ticket.comment_added":
            self._comment(said, ticket, post_id, root, at, found)
        elif told == "messaging_ticket.message_added":
            by_brand = PEOPLE.get("" if change.actor is None else change.actor.type)
            if change.actor is None or by_brand is None:
                found.leave_out(LeftOut.BY_MACHINE)
                return
            person = identifier(change.actor.id)
            text = words(said.body)
            found.items.append(self.desk.item(Written(post_id, root, person, by_brand, text, at, self._link(root))))
        elif told == "ticket.comment_redacted":
            found.items.append(self.desk.deletion(post_id, root, at))
        elif told == "ticket.comment_made_private":
            found.items.append(self.desk.hidden(post_id, root, at))
        else:
            found.leave_out(LeftOut.NOT_HEARD)

    def _comment(
        self, said: ZendeskMessage, ticket: ZendeskTicket, post_id: str, root: str, at: str | None, found: Understood
    ) -> None:
        if said.is_public is False:
            found.leave_out(LeftOut.PRIVATE)
            return
        if said.body is not None and said.body.strip() == (ticket.description or "").strip():
            found.leave_out(LeftOut.SAID_BEFORE)
            return
        who = said.author
        by_brand = who is not None and who.is_staff is True
        person = None if who is None else identifier(who.id)
        text = words(said.body)
        found.items.append(self.desk.item(Written(post_id, root, person, by_brand, text, at, self._link(root))))

    def _link(self, root: str) -> str | None:
        return self.desk.link(f"agent/tickets/{root.removeprefix('ticket-')}")


def _is_ours(ticket: ZendeskTicket) -> bool:
    """True for a ticket that our recipe opened: it carries our key, and a tag that outlives a changed key."""
    key, tags = ticket.external_id, ticket.tags
    return (isinstance(key, str) and key.startswith(KEY_PREFIX)) or (isinstance(tags, list) and TAG in tags)


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret or the brand's account is missing."""
    options = context.options
    if not isinstance(options, ZendeskSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `zendesk`")
    mapping = ZendeskMapping(desk_of(context, options))
    signature = Hmac(
        secrets_of(context, "signing_secret"),
        "x-zendesk-webhook-signature",
        encoding=Encoding.BASE64,
        time_header="x-zendesk-webhook-signature-timestamp",
        between="",
        tolerance_seconds=options.tolerance_seconds,
    )
    return CalledSource(
        context.clock,
        signature,
        lambda request, now: mapping(request.body, now),
        silence_seconds=options.silence_seconds,
    )
