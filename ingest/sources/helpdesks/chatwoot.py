"""What an event of Chatwoot says, as items; and its connector. The mapping is pure.

A conversation is a post, and its messages are replies. Chatwoot does not say which message opened a conversation: it is the
customer's only unread one, written when the conversation began. That one is the post itself, so that a complaint stands where
readers of a story look first; in doubt a message is a reply, which loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ingest.sources.base import SourceContext
from ingest.sources.helpdesks.desk import HelpDesk, Written, desk_of
from ingest.sources.helpdesks.shapes import ChatwootConversation, ChatwootEvent
from ingest.sources.hooks.called import CalledSource, secrets_of
from ingest.sources.hooks.items import LeftOut, Understood, identifier, instant, moment, needed, words
from ingest.sources.hooks.reading import read
from ingest.sources.hooks.signatures import Hmac, Shared, Signature
from services.base.errors import ConfigError
from services.config.connectors.helpdesks import ChatwootSection

INCOMING: Final = ("incoming", 0)
OUTGOING: Final = ("outgoing", 1)
KEY: Final = "firebreak_key"
"""What the recipe for Chatwoot writes into the conversations that it opens."""
OPENS_WITHIN: Final = timedelta(seconds=5)
MESSAGES: Final = frozenset({"message_created", "message_updated"})


@dataclass(frozen=True, slots=True)
class ChatwootMapping:
    desk: HelpDesk

    def __call__(self, body: bytes, now: datetime) -> Understood:
        """Raises `ValueError` if the body cannot be read."""
        event = read(body, ChatwootEvent)
        found = Understood()
        if event.event not in MESSAGES:
            # A conversation's own events name no message: its words come with theirs.
            found.leave_out(LeftOut.NOT_HEARD)
            return found
        if event.private:
            found.leave_out(LeftOut.PRIVATE)
            return found
        if event.conversation is not None and _is_ours(event.conversation):
            found.leave_out(LeftOut.OUR_OWN)
            return found
        by_brand = event.message_type in OUTGOING
        machine = event.sender is not None and event.sender.type == "agent_bot"
        if machine or not (by_brand or event.message_type in INCOMING):
            found.leave_out(LeftOut.BY_MACHINE)
            return found
        talk = event.conversation
        number = needed(None if talk is None else identifier(talk.id), "`conversation.id`")
        account = identifier(event.account.get("id")) if isinstance(event.account, dict) else None
        root = f"conversation-{account or 0}-{number}"
        message = f"message-{needed(identifier(event.id), '`id` of the message')}"
        post_id = root if not by_brand and _opens(event, talk) else message
        if event.event == "message_updated":
            self._updated(event, (root, message), now, found)
            return found
        written = Written(
            post_id,
            root,
            None if event.sender is None else identifier(event.sender.id),
            by_brand,
            words(event.content),
            moment(event.created_at, now),
            self.desk.link(f"app/accounts/{account}/conversations/{number}") if account else None,
        )
        found.items.append(self.desk.item(written))
        return found

    def _updated(self, event: ChatwootEvent, ids: tuple[str, str], now: datetime, found: Understood) -> None:
        """A message was deleted, which is told as an update of its text. Which of the two ids it has is not known any more, as
        the conversation has gone on: both are deleted when it was written as the conversation began."""
        deleted = event.content_attributes.get("deleted") if isinstance(event.content_attributes, dict) else None
        if deleted is not True:
            found.leave_out(LeftOut.NOT_HEARD)
            return
        root, message = ids
        at = moment(event.updated_at, now) or now.isoformat()
        found.items.append(self.desk.deletion(message, root, at))
        if _at_the_beginning(event, event.conversation):
            found.items.append(self.desk.deletion(root, root, at))


def _is_ours(talk: ChatwootConversation) -> bool:
    """True for a conversation that our recipe opened: it carries our key."""
    return isinstance(talk.custom_attributes, dict) and KEY in talk.custom_attributes


def _opens(event: ChatwootEvent, talk: ChatwootConversation | None) -> bool:
    return talk is not None and talk.unread_count == 1 and _at_the_beginning(event, talk)


def _at_the_beginning(event: ChatwootEvent, talk: ChatwootConversation | None) -> bool:
    if talk is None:
        return False
    began, wrote = instant(talk.created_at), instant(event.created_at)
    return began is not None and wrote is not None and abs(wrote - began) <= OPENS_WITHIN


def build(context: SourceContext) -> CalledSource:
    """Raises `ConfigError` if the secret or the brand's account is missing."""
    options = context.options
    if not isinstance(options, ChatwootSection):
        raise ConfigError(f"the connector {options.name!r} is not of kind `chatwoot`")
    mapping = ChatwootMapping(desk_of(context, options))
    signature: Signature
    if context.secrets.get("signing_secret"):
        signature = Hmac(
            secrets_of(context, "signing_secret"),
            "x-chatwoot-signature",
            prefix="sha256=",
            time_header="x-chatwoot-timestamp",
            tolerance_seconds=options.tolerance_seconds,
        )
    else:
        signature = Shared(secrets_of(context, "token"), parameter="token")
    return CalledSource(
        context.clock,
        signature,
        lambda request, now: mapping(request.body, now),
        silence_seconds=options.silence_seconds,
    )
