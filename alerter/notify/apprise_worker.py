"""The process that `apprise` runs in: one line of JSON in, one out. `python -m alerter.notify.apprise_worker CIDR ...`

An audit hook sees every connection that any Python code in this process makes, with the address that it really goes to, and
refuses those that the operator did not allow; files and other programs are out of reach too.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any, Final

from alerter.notify.egress import allowed_networks, refusal

_DETAIL_CHARS: Final = 1000
_NO_BUSINESS: Final = frozenset(
    {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.remove", "os.rename"}
)
_SENDS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
LOCAL_SCHEMES: Final = frozenset(
    {"dbus", "kde", "qt", "glib", "gnome", "macosx", "windows", "syslog", "file", "memory", "blink1"}
)
"""They speak to this machine, not to a person."""


class NotTaken(OSError):
    """An address that is not allowed, or something that no message needs."""


class Guard:
    def __init__(self, blocks: list[str]) -> None:
        self._allowed = allowed_networks(",".join(blocks))
        self.said: str | None = None

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if event in _SENDS:
            address = args[1]
            if address is None:  # on a socket that is connected: it was checked then
                return
            host = str(address[0]) if isinstance(address, tuple) else "a local socket"
            why = refusal(host, self._allowed)
            if why is not None:
                self._refuse(f"leads to {host}, which is not allowed ({why})")
        elif event in _NO_BUSINESS:
            self._refuse(f"wanted {event}")
        elif event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self._refuse("wanted to write a file")

    def _refuse(self, why: str) -> None:
        self.said = why
        raise NotTaken(why)


class Heard(logging.Handler):
    """What the library says went wrong."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def main(blocks: list[str]) -> None:
    import apprise

    apprise.Apprise().add("json://localhost")  # its plugins are found now: later there is a hook
    guard, heard = Guard(blocks), Heard()
    logging.getLogger("apprise").addHandler(heard)
    sys.addaudithook(guard)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        guard.said, heard.lines = None, []
        print(json.dumps(_answer(apprise, json.loads(line), guard, heard)), flush=True)


def _answer(apprise: Any, question: dict[str, str], guard: Guard, heard: Heard) -> dict[str, str]:
    scheme = question["url"].partition(":")[0].lower()
    target = None if scheme in LOCAL_SCHEMES else apprise.Apprise.instantiate(question["url"], suppress_exceptions=True)
    if target is None:
        return {"outcome": "refused", "detail": "not a URL that apprise knows, or one that stays on this machine"}
    try:
        sent = target.notify(body=question["body"], title=question["title"], notify_type=question["type"])
    except Exception as error:  # noqa: BLE001 - a plugin of a hundred; its attempt failed
        sent = False
        heard.lines.append(type(error).__name__)
    if guard.said is not None and not sent:
        return {"outcome": "blocked", "detail": guard.said}
    said = "; ".join(heard.lines)[:_DETAIL_CHARS]
    return {"outcome": "delivered", "detail": said} if sent else {"outcome": "refused", "detail": said or "not taken"}


if __name__ == "__main__":
    main(sys.argv[1:])
