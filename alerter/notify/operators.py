"""The endpoints of those who run the installation: told of its own trouble, once, whatever number of replicas see it.

They are those that the configuration names (`operators`), and the subscribers for all brands that ask for such messages.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from alerter.notify import outbox
from alerter.notify.formats import native
from alerter.notify.outbox import Cause
from alerter.states import EndpointState
from alerter.store import audit
from alerter.store.installation import turned
from alerter.store.tables import endpoints

ACTOR = "firebreak"
"""Who stands in the audit log for what the installation noticed by itself."""
_TOLD = "config"


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
    partition: int,
    moved: tuple[int, int],
    now: datetime,
    wall: datetime,
) -> None:
    """Tell that a position was said of another log: where it was, and where reading goes on. Call it in the transaction that
    moves the position, which only one replica can do."""
    was, at = moved
    because = (
        f"signals were said to be applied up to {was}, which is not so in the log that is there: it, or the database, was"
        f" restored or made anew. Reading goes on at {at}. Look whether posts were lost, and send them again from their source"
    )
    audit.record(connection, now, ACTOR, "log.restored", str(partition), None, {"position": was, "goes_on_at": at})
    body = native.render_log(because, partition, was, at, now)
    names = _who(connection, operators, "log")
    outbox.enqueue(connection, Cause("log.restored", None, ("log", partition, was, at, now)), body, names, now, wall)


def _who(connection: Connection, operators: Collection[str], topic: str) -> list[str]:
    named = endpoints.c.name.in_(operators)
    asking = endpoints.c.subscribed & endpoints.c.types.like(f'%"{topic}.%') & (endpoints.c.brands == "[]")
    found = select(endpoints.c.name).where(named | asking, endpoints.c.state == EndpointState.ENABLED)
    return sorted(connection.scalars(found))
