"""Who may call, what and about which brands: bearer keys with one scope each, limited to brands or not.

The settings' admin key is the first one; with it further keys are made (`alerter.api.keys`). Memory and database hold only
hashes. Without any key nobody may call: an open door must be somebody's decision, never an omission.

A new route module is named after its resource, listed in `alerter.api.routes.MODULES`, and adds to the router it is given:

    def mount(routes: APIRouter, service: Backstage) -> None:
        @routes.post("/silences", status_code=201)
        async def create_silence(caller: Responder, body: SilenceIn) -> Silence:
            if not caller.sees(body.brand):
                raise Problem(404, f"there is no brand {body.brand}")

            def write(connection: Connection) -> Any:
                row = silences.add(connection, body, ...)
                audit.record(connection, service.context().now, caller.name, "silence.created", row.id, body.brand)
                return row

            return Silence(**await service.database.write(write))

        @routes.get("/silences")
        async def list_silences(caller: Reader) -> Silences:
            query = select(silences).where(seen_by(caller, silences.c.brand))
            ...

- The type of `caller` says which scope the route needs: `Reader`, `Responder` or `Admin`. A route without one is refused at
  the start. It is checked before anything of the request is read; a scope that does not reach is answered 403.
- Whatever belongs to a brand that the caller does not see is answered 404, as if there were none: `caller.sees(brand)` for
  one thing, `seen_by(caller, column)` in a query, `caller.covers(brands)` for what concerns several (or, empty, all).
- Whoever is named in a request, to be told or put on duty, goes through `seen.person_of` or `seen.may_ask`, and is listed for
  forms by `seen.people`: a key limited to brands knows of nobody else.
- Whatever holds a post's words goes through `views.shown_to`: a key limited to brands is outside the house.
- Every change calls `audit.record` in the transaction that makes it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request
from pydantic import SecretStr
from sqlalchemy import Column, ColumnElement, true

from alerter.api.scopes import Scope
from services.base.errors import ConfigError

ROOT: Final = "admin"
"""The name of the settings' key."""
MIN_ROOT_CHARS: Final = 20
"""Of the settings' key. The shortest that nobody guesses over a network, and that nobody makes up of a word and a year."""
_SETTING: Final = "FIREBREAK_ADMIN_KEY"

_RANK: Final = {scope: rank for rank, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is the key's, and stands in the audit log; `brands` of `None` are all of them."""

    name: str
    scope: Scope
    brands: frozenset[str] | None = None

    @property
    def outside(self) -> bool:
        """Whether it is a contact centre's, or another's who works for some brands only: what a source's terms keep in the
        house is not shown to it."""
        return self.brands is not None

    def may(self, scope: Scope) -> bool:
        return _RANK[self.scope] >= _RANK[scope]

    def sees(self, brand: str) -> bool:
        return self.brands is None or brand in self.brands

    def covers(self, brands: Collection[str]) -> bool:
        """Whether everything about these brands is this caller's to see. No brands stand for all there are."""
        return self.brands is None or (bool(brands) and self.brands.issuperset(brands))


def seen_by(caller: Caller, brand: Column[str]) -> ColumnElement[bool]:
    """The condition of a query by which it finds only what the caller may see."""
    return true() if caller.brands is None else brand.in_(caller.brands)


def digest(key: str) -> str:
    """What is kept of a key: SHA-256, hex. A key is 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def check_root_key(key: SecretStr | None) -> None:
    """Raises `ConfigError` if the settings' key can be guessed, or cannot be sent in a header. No key is no error: nobody may
    call then. The message never contains the key."""
    value = "" if key is None else key.get_secret_value()
    if value and not (value.isascii() and value.isprintable() and " " not in value):
        raise ConfigError(f"{_SETTING}: only printable ASCII characters without spaces can be sent as a key")
    if 0 < len(value) < MIN_ROOT_CHARS:
        raise ConfigError(
            f"{_SETTING}: too short: {MIN_ROOT_CHARS} characters at least, such as those of `openssl rand -hex 24`"
        )


def root_caller(given: str, key: SecretStr | None) -> Caller | None:
    """Whoever holds the settings' key, `given` its digest. Compared in constant time."""
    if key is None or not key.get_secret_value():
        return None
    right = hmac.compare_digest(given, digest(key.get_secret_value()))
    return Caller(ROOT, Scope.ADMIN) if right else None


def bearer(request: Request) -> str | None:
    """The key in an `Authorization: Bearer` header."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" and given.strip() else None


@dataclass(frozen=True, slots=True)
class Needs:
    """Gives a route its caller. `guard.guarded_route` has checked the scope by then."""

    scope: Scope

    def __call__(self, request: Request) -> Caller:
        caller = request.state.caller
        assert isinstance(caller, Caller)
        return caller


def scope_of(calls: Collection[Callable[..., object] | None]) -> Scope | None:
    """The scope that a route's dependencies ask for."""
    return next((call.scope for call in calls if isinstance(call, Needs)), None)


Reader = Annotated[Caller, Depends(Needs(Scope.READ))]
Responder = Annotated[Caller, Depends(Needs(Scope.RESPOND))]
Admin = Annotated[Caller, Depends(Needs(Scope.ADMIN))]
