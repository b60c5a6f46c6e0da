"""The process that runs `apprise`: one line of JSON in, one out. `python -m alerter.notify.apprise_worker CIDR ...`

An audit hook sees every connection that Python code in this process makes, with its real address, and refuses those
that the operator did not allow. It also refuses to write files, to read others than the libraries' own, and to start
programs. A question without a message asks whether the URL can be an endpoint at all.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

from alerter.notify.apprise_files import attached, may_be_read, named_in
from alerter.notify.apprise_room import Room, escaped
from alerter.notify.formats.lengths import parts
from services.base.egress import allowed_networks, refusal

_DETAIL_CHARS: Final = 1000
_NO_BUSINESS: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename"}
)
_SENDS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOCAL_SCHEMES: Final = frozenset(
    {"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "syslog", "file", "memory", "blink1"}
)
"""Schemes that reach this machine, not a person."""


class NotTaken(OSError):
    """The plugin tried an address that is not allowed, or something that no message needs."""


class Unusable(ValueError):
    """The URL cannot be an endpoint. The message never contains it: it holds passwords."""


class Guard:
    def __init__(self, blocks: list[str]) -> None:
        self._allowed = allowed_networks(",".join(blocks))
        self.said: str | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _SENDS:
            address = args[1]
            if address is None:  # the socket is connected already, and was checked then
                return
            host = str(address[0]) if isinstance(address, tuple) else "a local socket"
            why = refusal(host, self._allowed)
            if why is not None:
                self._refuse(f"leads to {host}, which is not allowed ({why})")
        elif event in _NO_BUSINESS:
            self._refuse(f"tried {event}, which is not allowed")
        elif event == "open":
            if isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self._refuse("tried to write a file, which is not allowed")
            if not may_be_read(args[0]):
                self._refuse("tried to read a file of this machine, which is not allowed")

    def _refuse(self, why: str) -> None:
        self.said = why
        raise NotTaken(why)


class Heard(logging.Handler):
    """Collects what the library logs about an attempt that went wrong."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(blocks: list[str]) -> None:
    import apprise

    apprise.Apprise().add("json://localhost")  # loads the plugins now, before the hook is there
    guard, heard = Guard(blocks), Heard()
    logging.getLogger("apprise").addHandler(heard)
    sys.addaudithook(guard)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        guard.said, heard.lines = None, []
        print(json.dumps(_answer(apprise, json.loads(line), guard, heard)), flush=True)


def _target(apprise: Any, url: str) -> Any:
    """The service that a URL stands for. Raises `Unusable`."""
    if url.partition(":")[0].lower() in LOCAL_SCHEMES:
        raise Unusable("leads to this machine, and to no person")
    if (option := named_in(url)) is not None:
        raise Unusable(f"would open a file of this machine ({option})")
    target = apprise.Apprise.instantiate(url, suppress_exceptions=True)
    if target is None:
        raise Unusable("is none that apprise knows, or lacks something that its service needs")
    if attached(target, apprise.AppriseAttachment):
        raise Unusable("would open a file of this machine (template)")
    return target


def _fitted(target: Any, title: str, forms: Sequence[str]) -> list[tuple[str, str]]:
    """Returns what to send, as titles and texts in the service's form: the longest form of the message that it has room for,
    or the shortest in parts."""
    room = Room.of(target, title)
    whole = next((form for form in forms if room.fits(form)), None)
    if whole is not None:
        return [(room.escaped_title, escaped(target, whole))]
    bare = Room.of(target, "")
    return [("", escaped(target, part)) for part in parts(title, forms[-1], bare.fits)]


def _answer(apprise: Any, question: dict[str, Any], guard: Guard, heard: Heard) -> dict[str, str]:
    try:
        target = _target(apprise, question["url"])
    except Unusable as error:
        return {"outcome": "refused", "detail": f"the URL {error}"}
    if guard.said is not None:
        return {"outcome": "blocked", "detail": guard.said}
    if "forms" not in question:
        return {"outcome": "delivered", "detail": ""}
    try:
        sent = all(
            target.notify(
                body=text, title=title, notify_type=question["type"], body_format=target.resolve_format("text")
            )
            for title, text in _fitted(target, question["title"], question["forms"])
        )
    except Exception as error:  # noqa: BLE001 - whatever one of a hundred plugins raises, the attempt failed
        sent = False
        heard.lines.append(type(error).__name__)
    if guard.said is not None and not sent:
        return {"outcome": "blocked", "detail": guard.said}
    said = "; ".join(heard.lines)[:_DETAIL_CHARS]
    if sent:
        return {"outcome": "delivered", "detail": said}
    return {"outcome": "refused", "detail": said or "Apprise could not deliver it"}


if __name__ == "__main__":
    main(sys.argv[1:])
