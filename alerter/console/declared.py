"""The pages of people, schedules and policies: all that there are, and a form for each that was declared at run time.

A schedule or a policy is written as the file would hold it, and saved only after its writer has seen what it brings about.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import yaml
from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import RedirectResponse

from alerter.api import declaring, previews
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.api.rota_schemas import DeclaredIn, DeclaredItem, Preview
from alerter.api.scopes import Scope
from alerter.api.versions import Change
from alerter.console import flash, rendering
from alerter.console.actions import may, version_seen
from alerter.console.middleware import HOME, Form, Signed
from alerter.console.person_form import document_in, fields_of
from services.base.errors import ConfigError
from services.config.declared import RotaPart
from services.config.section import Slug
from services.config.yaml_reading import Document as Text
from services.config.yaml_reading import Place, read

PAGE: Final = f"{HOME}/rota"
MAX_SHOWN: Final = 500
MOST_VERSIONS: Final = 20
PartOf = Annotated[RotaPart, Path(alias="part")]
STARTS: Final[Mapping[RotaPart, str]] = {
    RotaPart.SCHEDULES: """id: nights
zone: Europe/Berlin
layers:
- id: weeks
  rotation: weekly
  begins: 2026-01-05T09:00
  responders: []
""",
    RotaPart.POLICIES: """id: nights
steps:
- targets: [schedule:nights]
- after_minutes: 10
  targets: []
fallback: []
""",
}
"""What the form of a new item begins with."""


@dataclass(frozen=True, slots=True)
class FormDraft:
    """What somebody has written, and what is to be said of it: by its lines, by its fields, and of the whole."""

    text: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    version: int | None = None
    problem: str = ""
    lines: Mapping[int, list[str]] = field(default_factory=dict)
    preview: Preview | None = None

    @property
    def numbered(self) -> list[tuple[int, str, list[str]]]:
        return (
            [(n, line, self.lines.get(n, [])) for n, line in enumerate(self.text.splitlines(), 1)] if self.lines else []
        )

    @property
    def seen(self) -> str:
        """Stands in the form after a preview: saving another text shows another preview first."""
        return seen_of(self.text) if self.preview is not None else ""


def seen_of(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/rota")
    async def show_all(request: Request, visit: Signed, done: str = "") -> Response:
        items = {part: await declaring.listed(service, visit.caller, part) for part in RotaPart}
        return rendering.page(
            service,
            request,
            "declared.html",
            sections=[(part, items[part][:MAX_SHOWN], len(items[part])) for part in RotaPart],
            may_manage=visit.caller.may(Scope.ADMIN) and not visit.caller.outside,
            said=flash.WORDS.get(done),
        )

    @routes.get("/rota/new/{part}")
    async def show_new(request: Request, visit: Signed, part: PartOf) -> Response:
        declaring.check_may_change(service, may(visit, Scope.ADMIN), part, None)
        return await _form_page(service, request, visit, part, None, FormDraft(text=STARTS.get(part, "")))

    @routes.get("/rota/{part}/{name}")
    async def show_one(request: Request, visit: Signed, part: PartOf, name: Slug, done: str = "") -> Response:
        item = await declaring.one(service, visit.caller, part, name)
        draft = FormDraft(text_of(item.document), fields_of(item.document), item.version)
        return await _form_page(service, request, visit, part, item, draft, said=flash.WORDS.get(done))

    @routes.post("/rota/new/{part}")
    async def create(request: Request, visit: Signed, part: PartOf, form: Form) -> Response:
        return await _save(service, request, visit, part, None, form)

    @routes.post("/rota/{part}/{name}")
    async def change(request: Request, visit: Signed, part: PartOf, name: Slug, form: Form) -> Response:
        return await _save(service, request, visit, part, name, form)

    @routes.post("/rota/{part}/{name}/delete")
    async def delete(visit: Signed, part: PartOf, name: Slug, form: Form) -> Response:
        change = Change(visit.person, version_seen(form))
        await declaring.delete(service, may(visit, Scope.ADMIN), part, name, change)
        return RedirectResponse(f"{PAGE}?done=deleted", 303)


async def _save(
    service: ApiContext, request: Request, visit: Signed, part: RotaPart, name: str | None, form: Mapping[str, str]
) -> Response:
    """Save what the form holds, or show it again with what is wrong, or with what it would bring about."""
    caller = may(visit, Scope.ADMIN)
    declaring.check_may_change(service, caller, part, name)
    text, version = form.get("text", "").replace("\r\n", "\n"), version_seen(form)
    fields = {**fields_of({}), **form}
    draft, status = FormDraft(text, fields, version), 422
    try:
        document, places = await asyncio.to_thread(_read, part, form, text)
    except ConfigError as error:
        return await _again(service, request, visit, part, name, _with_lines(draft, str(error)), status)
    try:
        if part is not RotaPart.RESPONDERS and (form.get("do") == "preview" or form.get("seen") != seen_of(text)):
            given = document if name is None else {**document, "id": name}
            draft = FormDraft(text, {}, version, preview=await previews.preview(service, part, given))
            return await _again(service, request, visit, part, name, draft, 200)
        change = Change(visit.person, version)
        if name is None:
            saved = await declaring.create(service, caller, part, document, change)
        else:
            saved = await declaring.replace(service, caller, part, name, document, change)
    except Problem as problem:
        if problem.status not in (409, 412, 422):
            raise
        status = problem.status
        newer = problem.more.get("current")
        draft = FormDraft(
            text,
            fields,
            newer["version"] if newer is not None else version,
            problem.detail,
            _by_lines(problem.more.get("errors", ()), places),
        )
        return await _again(service, request, visit, part, name, draft, status)
    return RedirectResponse(f"{PAGE}/{part.value}/{saved.id}?done=saved", 303)


def _read(part: RotaPart, form: Mapping[str, str], text: str) -> tuple[dict[str, Any], Mapping[Place, int]]:
    """Returns the document that the form describes, and on which line of the text each field of it stands. Raises
    `ConfigError`."""
    if part is RotaPart.RESPONDERS:
        return document_in(form), {}
    found: Text = read(text, "text")
    if not isinstance(found.content, dict):
        raise ConfigError(f"text:1: expected `id: ...` and the other fields of a {part.one}")
    return found.content, found.lines


def _with_lines(draft: FormDraft, mistakes: str) -> FormDraft:
    """Returns the draft with what the reader of YAML has to say, of which each line begins with `text:NUMBER:`."""
    lines: defaultdict[int, list[str]] = defaultdict(list)
    for mistake in mistakes.splitlines():
        number, _, why = mistake.removeprefix("text:").partition(": ")
        lines[int(number) if number.isascii() and number.isdecimal() else 1].append(why or mistake)
    return FormDraft(draft.text, draft.fields, draft.version, "The text is not YAML.", lines)


def _by_lines(errors: Any, places: Mapping[Place, int]) -> Mapping[int, list[str]]:
    lines: defaultdict[int, list[str]] = defaultdict(list)
    for error in errors if places else ():
        at = error["at"].split(".")
        if at[0] != "body":
            continue
        place: Place = tuple(int(step) if step.isascii() and step.isdecimal() else step for step in at[1:])
        while place and place not in places:
            place = place[:-1]
        lines[places.get(place, 1)].append(f"{'.'.join(at[1:]) or 'the whole'}: {error['why']}")
    return lines


async def _again(
    service: ApiContext,
    request: Request,
    visit: Signed,
    part: RotaPart,
    name: str | None,
    draft: FormDraft,
    status: int,
) -> Response:
    item = None if name is None else await declaring.one(service, visit.caller, part, name)
    return await _form_page(service, request, visit, part, item, draft, status)


async def _form_page(
    service: ApiContext,
    request: Request,
    visit: Signed,
    part: RotaPart,
    item: DeclaredItem | None,
    draft: FormDraft,
    status: int = 200,
    said: str | None = None,
) -> Response:
    kept = [] if item is None else await declaring.versions(service, visit.caller, part, item.id, MOST_VERSIONS)
    here = item is None or item.declared_in is DeclaredIn.HERE
    return rendering.page(
        service,
        request,
        "declared-item.html",
        status,
        part=part,
        item=item,
        draft=draft,
        versions=[(one, text_of(one.document) if one.document is not None else "") for one in kept],
        may_change=here and visit.caller.may(Scope.ADMIN) and not visit.caller.outside,
        names={one.id: one.called for one in service.process.config.responders},
        said=said,
    )


def text_of(document: Mapping[str, Any]) -> str:
    """Returns the document as the file would hold it."""
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)
