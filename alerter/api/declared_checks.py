"""Whether an item that is to be declared at run time goes with the file and with all others, field by field."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, or_, select

from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.store.tables import endpoints
from services.config import declared as config_of
from services.config.declared import Item, Mistake, RotaPart, Whole, dotted
from services.config.model import Config, Policy
from services.config.rota import ALL, OWNER, Responder
from services.config.yaml_bounds import MAX_DEPTH
from services.config.yaml_reading import Place

Document = Mapping[str, Any]
MOST_ERRORS: Final = 20


def given(body: object) -> Document:
    """Returns the body of a request as a document. Raises `Problem` 422 if it is none, or is nested too deep to be one."""
    if not isinstance(body, Mapping):
        raise refused([{"at": "body", "why": f"must be an object, got {type(body).__name__}"}])
    level: list[Any] = [body]
    for _ in range(MAX_DEPTH):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return body
    raise refused([{"at": "body", "why": f"is nested more than {MAX_DEPTH} levels deep"}])


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()


def checked(service: ApiContext, part: RotaPart, document: Document) -> tuple[Item, Whole]:
    """Returns the item, and the configuration that there would be with it. Raises `Problem` 422 with every mistake.

    Blocks: call it on a thread.
    """
    item = config_of.read_item(part, document)
    if isinstance(item, list):
        raise refused([{"at": dotted(("body", *one.place)), "why": one.why} for one in item])
    whole = service.declared.with_item(part, item.id, item)
    wrong = _new(whole.mistakes, service.declared.whole.mistakes)
    if wrong:
        own = (part.value, item.id)
        places = [("body", *one.place[2:]) if one.place[:2] == own else one.place for one in wrong]
        raise refused([{"at": dotted(place), "why": one.why} for place, one in zip(places, wrong, strict=True)])
    return item, whole


def check_unnamed(places: Iterable[Place], part: RotaPart, name: str) -> None:
    """Raises `Problem` 409 with the places that name the item."""
    found = list(islice(places, MOST_ERRORS))
    if found:
        where = ", ".join(map(dotted, found))
        errors = [{"at": dotted(place), "why": f"names {part.one} {name}"} for place in found]
        raise Problem(409, f"{part.one} {name} is still named by {where}: change these first", errors=errors)


def check_endpoint_unnamed(connection: Connection, caller: Caller, config: Config, name: str) -> None:
    """Raises `Problem` 409 with the places that name this endpoint. A key that is limited to brands hears only that there are
    some: they may be of others."""
    places = config_of.naming_endpoint(config, name)
    beside = or_(endpoints.c.owner == name, endpoints.c.fallback == name)
    for row in connection.execute(select(endpoints.c.name, endpoints.c.owner).where(beside).order_by(endpoints.c.name)):
        places.append(("endpoints", row.name, "owner" if row.owner == name else "fallback"))
    if not places:
        return
    then = "change that first, or delete it with even_if_named=true"
    if caller.outside:
        raise Problem(409, f"endpoint {name} is still named by the configuration: {then}")
    where = ", ".join(map(dotted, places[:MOST_ERRORS]))
    errors = [{"at": dotted(place), "why": f"names endpoint {name}"} for place in places[:MOST_ERRORS]]
    raise Problem(409, f"endpoint {name} is still named by {where}: {then}", errors=errors)


def check_endpoints(connection: Connection, config: Config, item: Item, was: Item | None) -> None:
    """Raises `Problem` 422 for a name of an endpoint that is new in this version, and that does not exist."""
    known = set(config.endpoints or ()) | (set() if was is None else {name for _, name in endpoints_of(was)})
    named_now = [(place, name) for place, name in endpoints_of(item) if name not in known]
    if not named_now:
        return
    there = set(connection.scalars(select(endpoints.c.name)))
    wrong = []
    for place, name in named_now:
        if name in there:
            continue
        kind = "responder" if config.responder(name) else "schedule" if config.schedule(name) else None
        alike = get_close_matches(name, there, 1)
        meant = f"{kind}:{name}" if kind and not isinstance(item, Responder) else alike[0] if alike else None
        hint = f"did you mean {meant!r}?" if meant else "create it first"
        wrong.append({"at": dotted(("body", *place)), "why": f"there is no endpoint {name!r}; {hint}"})
    if wrong:
        raise refused(wrong)


def endpoints_of(item: Item) -> Iterator[tuple[Place, str]]:
    """Yields the names of endpoints in an item, with their places in it."""
    if isinstance(item, Responder):
        yield from ((("methods", number), method) for number, method in enumerate(item.methods))
        if item.digest is not None:
            yield ("digest",), item.digest
    elif isinstance(item, Policy):
        places: list[tuple[Place, str]] = [(("fallback", n), target) for n, target in enumerate(item.fallback)]
        for number, step in enumerate(item.steps):
            places += [(("steps", number, "targets", n), target) for n, target in enumerate(step.targets)]
        yield from ((place, name) for place, name in places if ":" not in name and name not in (ALL, OWNER))


def refused(errors: list[dict[str, str]]) -> Problem:
    said = "; ".join(f"{one['at'].removeprefix('body.')}: {one['why']}" for one in errors[:MOST_ERRORS])
    return Problem(422, said, errors=errors[:MOST_ERRORS])


def _new(now: Iterable[Mistake], before: Iterable[Mistake]) -> list[Mistake]:
    """Returns the mistakes that were not there before: whoever mends one of several must be able to."""
    known = {mistake.place for mistake in before}
    return [mistake for mistake in now if mistake.place not in known]
