"""People, schedules and policies: listed, and declared at run time beside those of the file, which stay as the file says."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from pydantic import Field, JsonValue, SkipValidation

from alerter.api import declaring, previews
from alerter.api.auth import Admin, Caller, Reader
from alerter.api.context import ApiContext
from alerter.api.declared_checks import given
from alerter.api.problems import ABSENT, CONFLICT, STALE
from alerter.api.rota_schemas import DeclaredItem, DeclaredItems, ItemVersion, ItemVersions, Preview
from alerter.api.versions import By, Change, IfMatch, version_in
from services.config.declared import RotaPart
from services.config.model import Policy
from services.config.rota import Responder, Schedule
from services.config.section import Slug

ResponderBody = Annotated[Responder, SkipValidation]
ScheduleBody = Annotated[Schedule, SkipValidation]
PolicyBody = Annotated[Policy, SkipValidation]
"""Described as they are; checked with all others (`declaring`), so that a mistake is told in the words of the file."""
Limit = Annotated[int, Query(ge=1, le=200)]
Patch = Annotated[dict[str, JsonValue], Field(description="a JSON Merge Patch (RFC 7396)")]
CHANGING: Final = {**ABSENT, **CONFLICT, **STALE}


def mount(routes: APIRouter, service: ApiContext) -> None:
    _mount_responders(routes, service)
    _mount_schedules(routes, service)
    _mount_policies(routes, service)


def _mount_responders(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/responders")
    async def list_responders(caller: Reader) -> DeclaredItems:
        """All responders in force, each with where it is declared."""
        return DeclaredItems(items=tuple(await declaring.listed(service, caller, RotaPart.RESPONDERS)))

    @routes.post("/responders", status_code=201, responses=CONFLICT)
    async def create_responder(caller: Admin, body: ResponderBody, response: Response, by: By = None) -> DeclaredItem:
        """Declare a person. The endpoints of their `methods` must exist. 409 if the id is taken, also by the file."""
        return _tagged(response, await declaring.create(service, caller, RotaPart.RESPONDERS, given(body), Change(by)))

    @routes.get("/responders/{responder}", responses=ABSENT)
    async def get_responder(caller: Reader, responder: Slug, response: Response) -> DeclaredItem:
        """As it is in force. `ETag` is its version, for `If-Match`."""
        return _tagged(response, await declaring.one(service, caller, RotaPart.RESPONDERS, responder))

    @routes.put("/responders/{responder}", responses=CHANGING)
    async def replace_responder(
        caller: Admin, responder: Slug, body: ResponderBody, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Replace what was declared of a person at run time. 409 if the file declares it: change it in the file."""
        document, change = given(body), Change(by, version_in(if_match))
        return _tagged(
            response, await declaring.replace(service, caller, RotaPart.RESPONDERS, responder, document, change)
        )

    @routes.patch("/responders/{responder}", responses=CHANGING)
    async def change_responder(
        caller: Admin, responder: Slug, body: Patch, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Change only the fields that are given; null takes one away. A list is replaced whole."""
        change = Change(by, version_in(if_match))
        return _tagged(
            response, await declaring.patch(service, caller, RotaPart.RESPONDERS, responder, given(body), change)
        )

    @routes.delete("/responders/{responder}", status_code=204, responses=CHANGING)
    async def delete_responder(caller: Admin, responder: Slug, by: By = None, if_match: IfMatch = None) -> None:
        """Delete a person. 409 with every place that still names them, or if the file declares them."""
        await declaring.delete(service, caller, RotaPart.RESPONDERS, responder, Change(by, version_in(if_match)))

    @routes.get("/responders/{responder}/versions", responses=ABSENT)
    async def list_versions_of_responder(caller: Reader, responder: Slug, limit: Limit = 50) -> ItemVersions:
        """Every version that was declared at run time, and who made it; also of one that was deleted."""
        return await _versions(service, caller, RotaPart.RESPONDERS, responder, limit)


def _mount_schedules(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/schedules")
    async def list_schedules(caller: Reader) -> DeclaredItems:
        """All schedules in force, each with where it is declared."""
        return DeclaredItems(items=tuple(await declaring.listed(service, caller, RotaPart.SCHEDULES)))

    @routes.post("/schedules", status_code=201, responses=CONFLICT)
    async def create_schedule(caller: Admin, body: ScheduleBody, response: Response, by: By = None) -> DeclaredItem:
        """Declare a schedule. It counts at once. 409 if the id is taken, also by the file."""
        return _tagged(response, await declaring.create(service, caller, RotaPart.SCHEDULES, given(body), Change(by)))

    @routes.get("/schedules/{schedule}", responses=ABSENT)
    async def get_schedule(caller: Reader, schedule: Slug, response: Response) -> DeclaredItem:
        """As it is in force. `ETag` is its version, for `If-Match`."""
        return _tagged(response, await declaring.one(service, caller, RotaPart.SCHEDULES, schedule))

    @routes.put("/schedules/{schedule}", responses=CHANGING)
    async def replace_schedule(
        caller: Admin, schedule: Slug, body: ScheduleBody, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Replace what was declared of a schedule at run time. Who is on call stays so until the next hand-over (`holds_from`),
        and the past stays as it was. 409 if the file declares it: change it in the file."""
        document, change = given(body), Change(by, version_in(if_match))
        return _tagged(
            response, await declaring.replace(service, caller, RotaPart.SCHEDULES, schedule, document, change)
        )

    @routes.patch("/schedules/{schedule}", responses=CHANGING)
    async def change_schedule(
        caller: Admin, schedule: Slug, body: Patch, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Change only the fields that are given; null takes one away. A list is replaced whole."""
        change = Change(by, version_in(if_match))
        return _tagged(
            response, await declaring.patch(service, caller, RotaPart.SCHEDULES, schedule, given(body), change)
        )

    @routes.delete("/schedules/{schedule}", status_code=204, responses=CHANGING)
    async def delete_schedule(caller: Admin, schedule: Slug, by: By = None, if_match: IfMatch = None) -> None:
        """Delete a schedule. 409 with every place that still names it, or if the file declares it."""
        await declaring.delete(service, caller, RotaPart.SCHEDULES, schedule, Change(by, version_in(if_match)))

    @routes.get("/schedules/{schedule}/versions", responses=ABSENT)
    async def list_versions_of_schedule(caller: Reader, schedule: Slug, limit: Limit = 50) -> ItemVersions:
        """Every version that was declared at run time, and who made it; also of one that was deleted."""
        return await _versions(service, caller, RotaPart.SCHEDULES, schedule, limit)

    @routes.post("/schedules/{schedule}/preview", responses=ABSENT)
    async def preview_schedule(caller: Admin, schedule: Slug, body: ScheduleBody) -> Preview:
        """What would be if it were saved: from when it would hold, and who would be on call in the next 7 days."""
        declaring.check_may_change(service, caller, RotaPart.SCHEDULES, schedule)
        return await previews.preview(service, RotaPart.SCHEDULES, {**given(body), "id": schedule})


def _mount_policies(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/policies")
    async def list_policies(caller: Reader) -> DeclaredItems:
        """All policies in force, each with where it is declared."""
        return DeclaredItems(items=tuple(await declaring.listed(service, caller, RotaPart.POLICIES)))

    @routes.post("/policies", status_code=201, responses=CONFLICT)
    async def create_policy(caller: Admin, body: PolicyBody, response: Response, by: By = None) -> DeclaredItem:
        """Declare a policy. A rule of the file can name it once it stands there under `at_run_time`."""
        return _tagged(response, await declaring.create(service, caller, RotaPart.POLICIES, given(body), Change(by)))

    @routes.get("/policies/{policy}", responses=ABSENT)
    async def get_policy(caller: Reader, policy: Slug, response: Response) -> DeclaredItem:
        """As it is in force. `ETag` is its version, for `If-Match`."""
        return _tagged(response, await declaring.one(service, caller, RotaPart.POLICIES, policy))

    @routes.put("/policies/{policy}", responses=CHANGING)
    async def replace_policy(
        caller: Admin, policy: Slug, body: PolicyBody, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Replace what was declared of a policy at run time. Open incidents keep the policy that they were opened with.
        409 if the file declares it: change it in the file."""
        document, change = given(body), Change(by, version_in(if_match))
        return _tagged(response, await declaring.replace(service, caller, RotaPart.POLICIES, policy, document, change))

    @routes.patch("/policies/{policy}", responses=CHANGING)
    async def change_policy(
        caller: Admin, policy: Slug, body: Patch, response: Response, by: By = None, if_match: IfMatch = None
    ) -> DeclaredItem:
        """Change only the fields that are given; null takes one away. A list is replaced whole."""
        change = Change(by, version_in(if_match))
        return _tagged(response, await declaring.patch(service, caller, RotaPart.POLICIES, policy, given(body), change))

    @routes.delete("/policies/{policy}", status_code=204, responses=CHANGING)
    async def delete_policy(caller: Admin, policy: Slug, by: By = None, if_match: IfMatch = None) -> None:
        """Delete a policy. 409 with the rules that still name it, or if the file declares it."""
        await declaring.delete(service, caller, RotaPart.POLICIES, policy, Change(by, version_in(if_match)))

    @routes.get("/policies/{policy}/versions", responses=ABSENT)
    async def list_versions_of_policy(caller: Reader, policy: Slug, limit: Limit = 50) -> ItemVersions:
        """Every version that was declared at run time, and who made it; also of one that was deleted."""
        return await _versions(service, caller, RotaPart.POLICIES, policy, limit)

    @routes.post("/policies/{policy}/preview", responses=ABSENT)
    async def preview_policy(caller: Admin, policy: Slug, body: PolicyBody) -> Preview:
        """What would be if it were saved: whom each step would tell now, and which would reach nobody. It need not exist."""
        declaring.check_may_change(service, caller, RotaPart.POLICIES, policy)
        return await previews.preview(service, RotaPart.POLICIES, {**given(body), "id": policy})


async def _versions(service: ApiContext, caller: Caller, part: RotaPart, name: str, limit: int) -> ItemVersions:
    found = await declaring.versions(service, caller, part, name, limit)
    return ItemVersions(
        items=tuple(
            ItemVersion(
                version=one.version,
                changed_at=one.changed_at,
                changed_by=one.changed_by,
                document=None if one.document is None else dict(one.document),
            )
            for one in found
        )
    )


def _tagged(response: Response, item: DeclaredItem) -> DeclaredItem:
    """Says the version in `ETag`, too."""
    if item.version is not None:
        response.headers["etag"] = f'"{item.version}"'
    return item
