"""Declares people, schedules and policies at run time: checked as one configuration with the file, written, and taken at once.

Behind the API and the console alike. What the file declares can only be changed in the file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from alerter.api.auth import Caller
from alerter.api.context import ApiContext
from alerter.api.declared_checks import Document, check_endpoints, check_unnamed, checked
from alerter.api.endpoint_trouble import policies_seen
from alerter.api.oncall import visible
from alerter.api.problems import Problem
from alerter.api.rota_schemas import DeclaredIn, DeclaredItem
from alerter.api.versions import MOST_TRIES, Change, check_version
from alerter.escalation import untold
from alerter.oncall import declarations, histories, named
from alerter.oncall.declarations import Declaration
from alerter.oncall.declared_config import Held
from alerter.store import audit
from alerter.store.database import Overtaken
from services.config import declared as config_of
from services.config.declared import Item, RotaPart
from services.config.model import Config
from services.config.rota import Schedule


def document_of(item: Item) -> dict[str, Any]:
    """Returns the item as the file would hold it."""
    return item.model_dump(mode="json", exclude_unset=True)


async def listed(service: ApiContext, caller: Caller, part: RotaPart) -> list[DeclaredItem]:
    """Returns every item of a section that the caller sees, by their ids."""
    config, seen = service.process.config, seen_by(caller, service.process.config, part)
    items = [item for item in config_of.of(config, part) if seen is None or item.id in seen]
    holds = await _hold_from(service, [item.id for item in items]) if part is RotaPart.SCHEDULES else {}
    return [_item(service, part, item, holds.get(item.id)) for item in sorted(items, key=lambda one: one.id)]


async def one(service: ApiContext, caller: Caller, part: RotaPart, name: str) -> DeclaredItem:
    """Raises `Problem` 404."""
    item = config_of.find(service.process.config, part, name)
    seen = seen_by(caller, service.process.config, part)
    if item is None or (seen is not None and name not in seen):
        raise Problem(404, f"there is no {part.one} {name}")
    holds = await _hold_from(service, [name]) if part is RotaPart.SCHEDULES else {}
    return _item(service, part, item, holds.get(name))


async def versions(service: ApiContext, caller: Caller, part: RotaPart, name: str, most: int) -> list[Declaration]:
    """Returns what was declared of this item at run time, the newest first. Raises `Problem` 404."""
    seen = seen_by(caller, service.process.config, part)
    found = await service.database.read(lambda c: declarations.history(c, part, name, most))
    known = found or config_of.find(service.process.config, part, name) is not None
    if not known or (seen is not None and name not in seen):
        raise Problem(404, f"there is no {part.one} {name}")
    return found


async def create(
    service: ApiContext, caller: Caller, part: RotaPart, document: Document, change: Change
) -> DeclaredItem:
    """Raises `Problem` 403, 409 or 422."""
    name = str(document.get("id", ""))
    check_may_change(service, caller, part, None)

    def made(was: Declaration | None) -> Document:
        _not_of_file(service, part, name)
        if was is not None:
            raise Problem(409, f"there already is a {part.one} {name}, of version {was.version}")
        return document

    return _there(await _write(service, caller, part, name, change, made, "created"))


async def replace(
    service: ApiContext, caller: Caller, part: RotaPart, name: str, document: Document, change: Change
) -> DeclaredItem:
    """Raises `Problem` 403, 404, 409, 412 or 422."""

    def made(was: Declaration | None) -> Document:
        _not_of_file(service, part, name)
        _checked_version(service, part, name, was, change.expected)
        if document.get("id", name) != name:
            why = f"is {name} in the address, and an id cannot be changed"
            raise Problem(422, f"id: {why}", errors=[{"at": "body.id", "why": why}])
        return {**document, "id": name}

    check_may_change(service, caller, part, name)
    return _there(await _write(service, caller, part, name, change, made, "changed"))


async def patch(
    service: ApiContext, caller: Caller, part: RotaPart, name: str, body: Document, change: Change
) -> DeclaredItem:
    """Change the fields that are in `body`, as JSON Merge Patch (RFC 7396) says. Raises like `replace`."""

    def made(was: Declaration | None) -> Document:
        _not_of_file(service, part, name)
        document = merged(_checked_version(service, part, name, was, change.expected).document or {}, body)
        if document.get("id") != name:
            why = "cannot be changed"
            raise Problem(422, f"id: {why}", errors=[{"at": "body.id", "why": why}])
        return document

    check_may_change(service, caller, part, name)
    return _there(await _write(service, caller, part, name, change, made, "changed"))


async def delete(service: ApiContext, caller: Caller, part: RotaPart, name: str, change: Change) -> None:
    """Raises `Problem` 403, 404, 409 with every place that names it, or 412."""
    check_may_change(service, caller, part, name)

    def made(was: Declaration | None) -> None:
        _checked_version(service, part, name, was, change.expected)

    await _write(service, caller, part, name, change, made, "deleted")


def check_may_change(service: ApiContext, caller: Caller, part: RotaPart, name: str | None) -> None:
    """Raises `Problem` 404 for what the caller does not see, and 403 where the key is limited to brands: whoever is told of
    those is told of others, too."""
    if caller.brands is None:
        return
    seen = seen_by(caller, service.process.config, part)
    if name is not None and (seen is None or name not in seen):
        raise Problem(404, f"there is no {part.one} {name}")
    raise Problem(403, f"{part.value} are of all brands; this needs a key that is not limited to some")


def seen_by(caller: Caller, config: Config, part: RotaPart) -> Collection[str] | None:
    """Returns the ids of those that the caller sees, or `None` if it may see all."""
    if caller.brands is None:
        return None
    if part is RotaPart.POLICIES:
        return policies_seen(caller, config)
    schedules = visible(caller, config)
    if part is RotaPart.SCHEDULES:
        return {schedule.id for schedule in schedules}
    return {who for schedule in schedules for layer in schedule.layers for who in layer.responders}


def merged(document: Document, patch: Document) -> dict[str, Any]:
    """Returns the document after a JSON Merge Patch: null takes a field away, and mappings are merged."""
    found = dict(document)
    for field, value in patch.items():
        if value is None:
            found.pop(field, None)
        elif isinstance(value, Mapping):
            had = found.get(field)
            found[field] = merged(had if isinstance(had, Mapping) else {}, value)
        else:
            found[field] = value
    return found


def _there(written: DeclaredItem | None) -> DeclaredItem:
    assert written is not None
    return written


@dataclass(frozen=True, slots=True)
class _Edit:
    """A change of one item on top of what this replica holds. `item` of `None` deletes it."""

    service: ApiContext
    caller: Caller
    part: RotaPart
    name: str
    change: Change
    verb: str
    held: Held
    item: Item | None
    now: datetime

    @property
    def was(self) -> Declaration | None:
        return self.held.find(self.part, self.name)

    @property
    def document(self) -> Document | None:
        return None if self.item is None else document_of(self.item)

    def commit(self, connection: Connection) -> None:
        """Raises `Overtaken` if another replica changed something, and `Problem`."""
        was, item, now = self.was, self.item, self.now
        if item is None and not _is_of_file(self.service, self.part, self.name):
            check_unnamed(named.in_database(connection, self.part, self.name, now), self.part, self.name)
        if item is not None:
            check_endpoints(connection, self.service.process.config, item, self.held.item(self.part, self.name))
        by = self.change.by or self.caller.name
        made = declarations.put(connection, self.held.revision, self.part, self.name, self.document, now, by)
        detail: dict[str, object] = {"version": made.version, "by": by}
        if was is not None and self.document is not None:
            detail["fields"] = _changed(was.document or {}, self.document)
        if isinstance(item, Schedule):
            histories.take(connection, [item], now, by=None)
            holds = histories.since(connection, now, [item.id])[item.id][-1].holds_from
            detail["holds_from"] = max(now, holds).isoformat()
        audit.record(connection, now, self.caller.name, f"{self.part.one}.{self.verb}", self.name, None, detail)


def _changed(before: Document, after: Document) -> list[str]:
    return sorted(field for field in {*before, *after} if before.get(field) != after.get(field))


async def _write(
    service: ApiContext,
    caller: Caller,
    part: RotaPart,
    name: str,
    change: Change,
    make: Callable[[Declaration | None], Document | None],
    verb: str,
) -> DeclaredItem | None:
    """`make` gets the newest version that was declared at run time, and returns what it is to be, or `None` to delete it."""
    for _ in range(MOST_TRIES):
        await service.declared.look(service.database)
        held = service.declared.held
        document, item = make(held.find(part, name)), None
        if document is not None:
            item, _whole = await asyncio.to_thread(checked, service, part, document)
        elif not _is_of_file(service, part, name):
            check_unnamed(config_of.naming(service.process.config, part, name), part, name)
        edit = _Edit(service, caller, part, name, change, verb, held, item, service.context().now)
        try:
            await service.database.write(edit.commit)
        except Overtaken:
            continue
        await service.declared.look(service.database)
        # Only now: looked at before, a page that waits for somebody would wait for minutes more.
        await service.database.write(lambda c: untold.look_now(c, service.context().now))
        service.ring()
        return None if item is None else await one(service, caller, part, name)
    raise Overtaken


def _is_of_file(service: ApiContext, part: RotaPart, name: str) -> bool:
    return config_of.find(service.process.current.config, part, name) is not None


def _not_of_file(service: ApiContext, part: RotaPart, name: str) -> None:
    """Raises `Problem` 409 if the file declares the item."""
    if _is_of_file(service, part, name):
        raise Problem(
            409,
            f"{part.one} {name} is declared in {service.declared.file_name}, and is read-only here: "
            "change it in that file, which is read again within seconds",
        )


def _checked_version(
    service: ApiContext, part: RotaPart, name: str, was: Declaration | None, expected: int | None
) -> Declaration:
    """Raises `Problem` 404, 409 if only the file declares it, or 412 if it is another version."""
    if was is None:
        _not_of_file(service, part, name)
        raise Problem(404, f"there is no {part.one} {name}")
    check_version(f"{part.one} {name}", expected, was.version, _shown(was).model_dump(mode="json"))
    return was


async def _hold_from(service: ApiContext, schedules: Collection[str]) -> dict[str, datetime]:
    """Returns from when the newest version of each schedule holds."""
    now = service.context().now
    known = await service.database.read(lambda c: histories.since(c, now, schedules))
    return {schedule: found[-1].holds_from for schedule, found in known.items()}


def _item(service: ApiContext, part: RotaPart, item: Item, holds_from: datetime | None) -> DeclaredItem:
    """The item as it is in force, and where it comes from."""
    was, now = service.declared.held.find(part, item.id), service.context().now
    ahead = holds_from if holds_from is not None and holds_from > now else None
    if was is not None and not _is_of_file(service, part, item.id):
        return _shown(was).model_copy(update={"holds_from": ahead})
    return DeclaredItem(
        id=item.id,
        declared_in=DeclaredIn.FILE,
        file=service.declared.file_name,
        holds_from=ahead,
        also_here=was is not None,
        document=document_of(item),
    )


def _shown(was: Declaration) -> DeclaredItem:
    return DeclaredItem(
        id=was.id,
        declared_in=DeclaredIn.HERE,
        version=was.version,
        changed_at=was.changed_at,
        changed_by=was.changed_by,
        document=dict(was.document or {}),
    )
