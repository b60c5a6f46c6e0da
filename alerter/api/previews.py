"""What a schedule or a policy would bring about if it were saved: who is on call, which steps reach nobody."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from alerter.api import oncall
from alerter.api.context import ApiContext
from alerter.api.declared_checks import Document, check_endpoints, checked
from alerter.api.declaring import document_of
from alerter.api.rota_schemas import Preview, StepPreview
from alerter.escalation import dry_run
from alerter.oncall import rosters
from alerter.oncall.reach import AHEAD
from alerter.oncall.responders import Directory, Nobody
from alerter.oncall.roster import Roster
from alerter.oncall.versions import edited
from services.config.declared import Item, RotaPart
from services.config.model import Policy
from services.config.rota import Schedule


async def preview(service: ApiContext, part: RotaPart, document: Document) -> Preview:
    """Returns what would be. Raises `Problem` 422 with every mistake, as saving would."""
    item, whole = await asyncio.to_thread(checked, service, part, document)
    now, present = service.context().now, service.process.config

    def read(connection: Connection) -> Any:
        check_endpoints(connection, present, item, service.declared.held.item(part, item.id))
        return rosters.between(connection, now, now + AHEAD, now), dry_run.read(connection, now, present)

    roster, known = await service.database.read(read)

    def played() -> Preview:
        before = {finding.words for finding in dry_run.findings(present, known, now)}
        after = [finding.words for finding in dry_run.findings(whole.config, known, now)]
        new = tuple(words for words in after if words not in before)
        return _of(item, Directory(whole.config, roster=roster, states=known.methods), now, new)

    return await asyncio.to_thread(played)


def _of(item: Item, directory: Directory, now: datetime, findings: tuple[str, ...]) -> Preview:
    roster = directory.roster or Roster()
    found = Preview(document=document_of(item), findings=findings)
    if isinstance(item, Schedule):
        rota = roster.unroll(item, now, now + AHEAD)
        history = roster.histories.get(item.id)
        holds = edited(history, item, now, roster.absences)[-1].holds_from if history else now
        shifts = tuple(oncall.shift_out(shift, directory.config) for shift in rota)
        return found.model_copy(update={"shifts": shifts, "holds_from": holds if holds > now else None})
    if isinstance(item, Policy):
        return found.model_copy(update={"steps": _steps(item, directory, now)})
    return found


def _steps(policy: Policy, directory: Directory, now: datetime) -> tuple[StepPreview, ...]:
    steps = []
    for number, step in enumerate(policy.steps):
        found = [directory.find(target, None, now) for target in step.targets]
        steps.append(
            StepPreview(
                number=number,
                after_minutes=step.after_minutes,
                reaches=tuple(one.who for one in found if not isinstance(one, Nobody)),
                nobody=tuple(one.because for one in found if isinstance(one, Nobody)),
            )
        )
    return tuple(steps)
