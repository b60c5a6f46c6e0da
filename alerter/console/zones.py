"""The time zone of the pages: every time in a list and every time in a form is in the same one, and says which.

It is the one that the person chose on this device (a cookie), else their own (`zone` of the responder), else the device's,
which the login learns if scripts run there, else UTC.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import Final
from urllib.parse import quote, unquote
from zoneinfo import available_timezones

from fastapi import Request

from alerter.console.sessions import Visitor
from alerter.oncall.responders import Directory
from services.config.model import Config
from services.config.rota import zone_of

COOKIE: Final = "firebreak_zone"
UTC_NAME: Final = "UTC"
_FOUND: Final = "~"
"""Before the name in the cookie: the device said it, nobody chose it, so a responder's own zone goes before it."""
_ODD: Final = ("Etc/", "SystemV/", "posix/", "right/")


@cache
def names() -> tuple[str, ...]:
    """Every zone that can be chosen: UTC, then places in the order of their names."""
    places = (name for name in available_timezones() if "/" in name and not name.startswith(_ODD))
    return (UTC_NAME, *sorted(places))


def known(name: str) -> bool:
    return name in _every()


@cache
def _every() -> frozenset[str]:
    return frozenset(names())


def own(visitor: Visitor | None, config: Config) -> str | None:
    """Returns the zone that the configuration gives the person who is signed in. A key from outside has none."""
    if visitor is None or visitor.caller.outside:
        return None
    found = Directory(config).responder_called(visitor.person)
    return None if found is None else found.zone


def chosen(request: Request, visitor: Visitor | None, config: Config) -> str:
    """Returns the zone of this request's pages."""
    said = unquote(request.cookies.get(COOKIE, ""))
    name = said.removeprefix(_FOUND)
    if not known(name):
        return own(visitor, config) or UTC_NAME
    return name if name == said else own(visitor, config) or name


def kept(name: str, *, found: bool = False) -> str:
    """Returns what the cookie holds: a zone that somebody chose, or that the device said (`found`)."""
    return quote(_FOUND + name if found else name, safe="/~")


def short(at: datetime, name: str) -> str:
    """Returns what the zone calls itself at this moment: CET, or UTC+4 where it has no letters of its own."""
    local = at.astimezone(zone_of(name))
    called = local.tzname() or UTC_NAME
    if called.isalpha():
        return called
    minutes = (local.utcoffset() or timedelta()) // timedelta(minutes=1)
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02d}" if rest else "")
