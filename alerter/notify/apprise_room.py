"""How much text one message of an apprise service holds, as its readers get it: escaped, and with the title where the service
has none of its own.

The library knows most limits; where it is wrong or counts otherwise than the service, the service's own documentation counts.
Runs in the worker, because only there the library is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from alerter.notify.formats.lengths import cut

BYTES: Final = {"ntfy": 4096}
"""Services that count bytes. A longer message becomes a file to download at ntfy, which nobody reads at night."""
SMS_CHARS: Final = {"Twilio": 1600}
"""Services that take a longer text message than the library thinks, and send it in as many parts as it needs."""
MOST_SMS: Final = 160
"""What the library gives for a text message of one part."""
SPACE: Final = 16
"""What the library may put between a title and a text, or around a title."""


@dataclass(frozen=True, slots=True)
class Room:
    """The room in one message to `target`, an object of the library, beside `title`."""

    target: Any
    title: str
    chars: int
    bytes: int | None

    @classmethod
    def of(cls, target: Any, title: str) -> Room:
        """Returns the room for a message with this title, which is cut where it would leave too little for the text."""
        name = str(target.service_name)
        most = int(target.body_maxlen)
        if most <= MOST_SMS:
            most = SMS_CHARS.get(name, most)
        own = int(target.title_maxlen)
        within = own <= 0 or bool(target.overflow_amalgamate_title)
        shown = cut(title, min(len(title), max(1, most // 2))) if within else title
        if own > 0:
            shown = cut(shown, own)
        taken = len(escaped(target, shown)) + SPACE if within and shown else 0
        limit = BYTES.get(name)
        room = None if limit is None else limit - (len(shown.encode()) + SPACE) * within
        return cls(target, shown, max(1, most - taken), room)

    def fits(self, text: str) -> bool:
        """Returns True if this text is short enough for one message, in the form in which the service gets it."""
        form = escaped(self.target, text)
        return len(form) <= self.chars and (self.bytes is None or len(form.encode("utf-8", "replace")) <= self.bytes)

    @property
    def escaped_title(self) -> str:
        """The title as it is handed over: escaped where it becomes the first line of the text."""
        return escaped(self.target, self.title) if int(self.target.title_maxlen) <= 0 else self.title


def escaped(target: Any, text: str) -> str:
    """Returns plain text in the form that the service reads: as it is, or escaped as HTML or Markdown. Its lines stay.

    Some services of the library would take plain text that is handed to them for markup, whatever it is called.
    """
    from apprise import common, conversion

    convert: Any = conversion.convert_between
    return str(convert(common.NotifyFormat.TEXT, target.resolve_format(common.NotifyFormat.TEXT), text))
