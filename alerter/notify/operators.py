"""The endpoints of those who run the installation: told of its own trouble, once, whatever number of replicas see it.

They are those that the configuration names (`operators`), and the subscribers for all brands that ask for such messages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, select

from alerter.notify import outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.states import EndpointState
from alerter.store import audit
from alerter.store.installation import turned
from alerter.store.tables import endpoints
from services.contracts.stage import Misplacement, Moved

ACTOR = "firebreak"
"""Who stands in the audit log for what the installation noticed by itself."""
_TOLD = "config"
_LOG_NEWS: Final = {Misplacement.ANOTHER_LOG: "log.restored", Misplacement.RETENTION: "log.dropped"}


def tell_of_config(
    connection: Connection,
    operators: Collection[str],
    version: str,
    refused: tuple[str, Sequence[str]] | None,
    now: datetime,
    wall: datetime,
) -> bool:
    """Tell that the configuration file cannot be taken (`refused`: its version and mistakes), or that it was mended.

    Returns False if that was told already.
    """
    state, mistakes = refused or ("", ())
    if not turned(connection, _TOLD, state):
        return False
    because = (
        f"the configuration file has {len(mistakes)} mistakes: {version} stays in force, also after a restart"
        if mistakes
        else f"{version} is in force"
    )
    what = "config.refused" if mistakes else "config.accepted"
    audit.record(connection, now, ACTOR, what, state or version, None, {"in_force": version})
    body = native.render_config(because, version, mistakes, now)
    names = _who(connection, operators, "config")
    outbox.enqueue(connection, Cause(what, None, ("config", state, version, now)), body, names, now, wall)
    return True


def tell_of_log(
    connection: Connection,
    operators: Collection[str],
    moved: Moved,
    now: datetime,
    wall: datetime,
) -> None:
    """Tell that a stage goes on elsewhere than where it was. Call it in the transaction that makes that last, which only one
    replica can do."""
    what = _LOG_NEWS[moved.why]
    detail = {"stage": moved.stage, "position": moved.position, "goes_on_at": moved.goes_on_at}
    audit.record(connection, now, ACTOR, what, str(moved.partition), None, detail)
    body = native.render_log(what, _why(moved), moved, now)
    names = _who(connection, operators, "log")
    place = (moved.stage, moved.partition, moved.position, moved.goes_on_at)
    outbox.enqueue(connection, Cause(what, None, ("log", *place, now)), body, names, now, wall)


def _why(moved: Moved) -> str:
    match moved.why:
        case Misplacement.ANOTHER_LOG:
            return (
                f"{moved.stage} was said to have dealt with everything up to {moved.position}, which is not so in the log that"
                f" is there: it, or what the stage knows, was restored or made anew. Reading goes on at {moved.goes_on_at}."
                " Look whether posts were lost, and send them again from their source"
            )
        case Misplacement.RETENTION:
            return (
                f"the log dropped {moved.lost} records before {moved.stage} had read them: it was behind for longer than the"
                f" log keeps its records. Reading goes on at {moved.goes_on_at}. Send the posts of that time again"
            )


def _who(connection: Connection, operators: Collection[str], topic: str) -> list[str]:
    named = endpoints.c.name.in_(operators)
    asking = endpoints.c.subscribed & endpoints.c.types.like(f'%"{topic}.%') & (endpoints.c.brands == "[]")
    found = select(endpoints.c.name).where(named | asking, endpoints.c.state == EndpointState.ENABLED)
    return sorted(connection.scalars(found))
