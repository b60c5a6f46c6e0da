"""What a person who was told may do from their phone without signing in: signed buttons, and reply codes. Pure.

A button's data and a code are valid for one incident and one endpoint, and nobody makes one without the installation's key.
Both come back by a way that proves itself. A link that acts at once, for a service that only sends a request, is valid for
one message: whoever takes it counts it as used.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from alerter.notify.links import BadLink, Expired, LinkSigner

PATH: Final = "/acknowledge/once/"
ONCE_VALID: Final = timedelta(hours=24)
CODE_DIGITS: Final = 6
"""Of a reply code: what one remembers between two looks, and what twenty guesses an hour do not find."""
_INCIDENT_CHARS: Final = 32
_ONCE: Final = b"once"
_BUTTON: Final = b"button"
_CODE: Final = b"reply-code"


class Button(StrEnum):
    """What a button does. The letter stands in its data, because Telegram has room for 64 bytes."""

    TAKE = "a"
    SNOOZE = "s"
    ESCALATE = "e"
    RESOLVE = "r"


SNOOZE_MINUTES: Final = 30
LABELS: Final = {
    Button.TAKE: "I have it",
    Button.SNOOZE: f"Snooze {SNOOZE_MINUTES} min",
    Button.ESCALATE: "Escalate now",
    Button.RESOLVE: "It is over",
}


class Press(NamedTuple):
    """Which button was pressed, of a message to which endpoint."""

    button: Button
    incident: str
    endpoint: str


class CodeOwner(NamedTuple):
    """Whose a reply code is: an incident, and an endpoint that was told of it."""

    incident: str
    endpoint: str


def offered(severity: int, acknowledged: bool) -> tuple[Button, ...]:
    """Returns the buttons of a message about an open incident. The most severe is never snoozed."""
    if acknowledged:
        return (Button.TAKE, Button.RESOLVE)
    return (Button.TAKE, Button.ESCALATE) if severity == 1 else (Button.TAKE, Button.SNOOZE, Button.ESCALATE)


def label(button: Button, acknowledged: bool) -> str:
    return "I take it over" if acknowledged and button is Button.TAKE else LABELS[button]


def data_of(signer: LinkSigner, button: Button, incident: str, endpoint: str) -> str:
    """Returns what a button sends back when it is pressed: at most 64 ASCII characters."""
    said = f"{button}{incident}"
    return said + signer.mac(_BUTTON, f"{said}.{endpoint}".encode("ascii"))


def heard_from(signer: LinkSigner, hears: bool, incident: str, endpoint: str) -> Callable[[Button], str] | None:
    """Returns what says which data a button of this message sends back, or `None` if nothing comes back from there."""
    if not hears or signer.key is None:
        return None
    return lambda button: data_of(signer, button, incident, endpoint)


def pressed(signer: LinkSigner, data: str, names: Iterable[str]) -> Press:
    """Returns which button of a message to one of the endpoints `names` this is. Raises `BadLink` if it is none."""
    letter, incident = data[:1], data[1 : 1 + _INCIDENT_CHARS]
    try:
        button = Button(letter)
    except ValueError:
        raise BadLink("this is not one of our buttons") from None
    if not data.isascii() or signer.key is None:
        raise BadLink("this is not one of our buttons")
    given = data.encode()
    right = [name for name in names if hmac.compare_digest(data_of(signer, button, incident, name).encode(), given)]
    if not right:
        raise BadLink("this is not one of our buttons")
    return Press(button, incident, right[0])


def once(signer: LinkSigner, press: Press, sequence: int, made: datetime) -> str | None:
    """Returns a link that does what the button does when something is posted to it, or `None` without links.

    `sequence` is that of the incident: each message has its own link, the same in every attempt.
    """
    if signer.base is None or signer.key is None:
        return None
    ends = int((made + ONCE_VALID).timestamp())
    said = f"{press.button}.{press.incident}.{press.endpoint}.{sequence}.{ends}"
    return f"{signer.base}{PATH}{signer.seal(_ONCE, said)}"


def read_once(signer: LinkSigner, token: str, now: datetime) -> Press:
    """Returns what a link is for. Raises `BadLink`, or `Expired` if it is too old."""
    try:
        button, incident, endpoint, _, ends = signer.check(_ONCE, token).split(".")
        press = Press(Button(button), incident, endpoint)
    except ValueError as error:
        raise BadLink("this is not one of our links") from error
    if now.timestamp() > int(ends):
        raise Expired("this link has expired")
    return press


def code_of(signer: LinkSigner, incident: str, endpoint: str) -> str:
    """Returns the code by which whoever was told by this endpoint answers about the incident."""
    whole = int.from_bytes(signer.mac_bytes(_CODE, f"{incident}.{endpoint}".encode("ascii")), "big")
    least = 10 ** (CODE_DIGITS - 1)
    return str(least + whole % (9 * least))


def coded(signer: LinkSigner, code: str, told: Collection[CodeOwner]) -> list[CodeOwner]:
    """Returns those among `told` that this code is for. It takes as long whether or not there is one."""
    given = code.encode("utf-8", "replace")
    return [one for one in told if hmac.compare_digest(code_of(signer, one.incident, one.endpoint).encode(), given)]
