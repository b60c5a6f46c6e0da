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
    named = endpoints.c.name.in_(operators)
    asking = endpoints.c.subscribed & endpoints.c.types.like('%"config.%') & (endpoints.c.brands == "[]")
    names = connection.scalars(
        select(endpoints.c.name).where(named | asking, endpoints.c.state == EndpointState.ENABLED)
    )
    body = native.render_config(because, version, mistakes, now)
    outbox.enqueue(connection, Cause(what, None, ("config", state, version, now)), body, sorted(names), now, wall)
    return True
