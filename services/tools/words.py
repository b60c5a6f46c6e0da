"""How the tools write numbers of things."""

from __future__ import annotations


def counted(number: int, what: str) -> str:
    """Such as "1 story" or "12 stories"."""
    return f"{number} {what if number == 1 else plural(what)}"


def plural(what: str) -> str:
    return f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
