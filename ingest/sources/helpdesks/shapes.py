"""The shapes of the events of Zendesk and Chatwoot. Decoration is `Any`, and read with care."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NOTHING: Final = msgspec.Raw(b"{}")


class ZendeskEvent(msgspec.Struct):
    """The whole body of an event of Zendesk. `detail` is the ticket as it is now, `event` what happened to it."""

    type: str
    subject: str = ""
    time: Any = None
    detail: msgspec.Raw = _NOTHING
    event: msgspec.Raw = _NOTHING


class ZendeskTicket(msgspec.Struct):
    id: str | int | None = None
    subject: str | None = None
    description: str | None = None
    requester_id: Any = None
    submitter_id: Any = None
    created_at: Any = None
    is_public: Any = None
    external_id: Any = None
    tags: Any = None


class ZendeskAuthor(msgspec.Struct):
    id: str | int | None = None
    is_staff: bool | None = None
    type: str = ""


class ZendeskMessage(msgspec.Struct):
    """A comment on a ticket, or a message of its conversation."""

    id: str | int | None = None
    body: str | None = None
    is_public: bool | None = None
    author: ZendeskAuthor | None = None


class ZendeskChange(msgspec.Struct):
    """What happened: to a comment, or a message was added by an `actor`."""

    comment: ZendeskMessage | None = None
    message: ZendeskMessage | None = None
    actor: ZendeskAuthor | None = None
    conversation_id: Any = None


class ChatwootSender(msgspec.Struct):
    """`type` stands only with colleagues (`user`) and machines (`agent_bot`), and with contacts in some versions."""

    id: str | int | None = None
    type: str = ""


class ChatwootConversation(msgspec.Struct):
    id: str | int | None = None
    created_at: Any = None
    unread_count: Any = None
    custom_attributes: Any = None


class ChatwootEvent(msgspec.Struct):
    """The whole body of an event of Chatwoot; of a message, its fields stand at the top."""

    event: str
    id: str | int | None = None
    content: str | None = None
    content_attributes: Any = None
    message_type: str | int = ""
    private: bool | None = None
    created_at: Any = None
    updated_at: Any = None
    sender: ChatwootSender | None = None
    conversation: ChatwootConversation | None = None
    account: Any = None
