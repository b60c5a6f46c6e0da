"""How far a key of the API reaches."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    """Each includes those before it."""

    READ = "read"
    RESPOND = "respond"
    ADMIN = "admin"
