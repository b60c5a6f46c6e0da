"""The configuration: which one is in force, and reading its file again without a restart."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from alerter.api.auth import Admin
from alerter.api.context import ApiContext
from alerter.api.problems import Problem
from alerter.oncall import declared_config
from alerter.store import audit
from services.config.current import Reload


class RefusedFile(BaseModel):
    """The file holds what cannot be taken: an older configuration is in force."""

    version: str
    since: datetime
    mistakes: tuple[str, ...]


class ConfigOut(BaseModel):
    """Which configuration is in force."""

    version: str = Field(description="the beginning of the SHA-256 of the file", examples=["9f86d081884c"])
    refused: RefusedFile | None = Field(None, description="what is wrong with the file, if it cannot be taken")
    findings: tuple[str, ...] = Field(
        (), description="what does not fit between the file and what was declared at run time, or is declared in both"
    )


class Reloaded(BaseModel):
    """The configuration that is in force now."""

    version: str
    changed: bool = Field(description="false: the file holds what was in force already")


def mount(routes: APIRouter, service: ApiContext) -> None:
    @routes.get("/config")
    async def get_config(caller: Admin) -> ConfigOut:
        """Which configuration this process runs. A key limited to brands cannot ask: it is about all of them."""
        _whole(caller.brands)
        current = service.process.current
        refused = current.refused
        shown = (
            None
            if refused is None
            else RefusedFile(version=refused.version, since=refused.since, mistakes=refused.mistakes)
        )
        found = tuple(declared_config.findings(service.declared.whole))
        return ConfigOut(version=current.version, refused=shown, findings=found)

    @routes.post("/config/reload")
    async def reload_config(caller: Admin) -> Reloaded:
        """Read the configuration file again. It is checked whole: with a mistake in it nothing changes, and the answer is 422
        with every mistake. Further processes take the file by themselves within seconds."""
        _whole(caller.brands)
        current, now = service.process.current, service.context().now
        ended = await current.reload()
        detail = {"outcome": ended.value, "version": current.version}
        await service.database.write(
            lambda c: audit.record(c, now, caller.name, "config.reloaded", current.file_name, None, detail)
        )
        if ended is Reload.REFUSED and current.refused is not None:
            errors = [{"at": current.file_name, "why": mistake} for mistake in current.refused.mistakes]
            raise Problem(422, f"the file has mistakes; {current.version} is still in force", errors=errors)
        return Reloaded(version=current.version, changed=ended is Reload.TAKEN)


def _whole(brands: frozenset[str] | None) -> None:
    if brands is not None:
        raise Problem(403, "the configuration is of all brands; this needs a key that is not limited to some")
