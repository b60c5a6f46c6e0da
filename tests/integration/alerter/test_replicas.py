"""Two replicas over one database: every step is done once, whoever does it, and every page that fails goes on once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.integration.alerter import receiver
from tests.integration.alerter.conftest import MakeDatabase, MakeHouse
from tests.unit.alerter import make

INCIDENTS = 12
PEOPLE = [{"id": "dana", "methods": ["dana-push", "dana-sms"]}, {"id": "lee", "methods": ["lee-push"]}]
STEPS = [{"targets": ["responder:dana"]}, {"after_minutes": 5, "targets": ["responder:lee"]}]


async def test_two_replicas_do_no_step_twice(
    make_house: MakeHouse, make_database: MakeDatabase, tmp_path: Path
) -> None:
    url = make_database() or f"sqlite+pysqlite:///{tmp_path}/both.db"
    config = make.config(policies=[{"id": "default", "steps": STEPS, "repeat": 1}], responders=PEOPLE)
    one, other = make_house(config, database=url), make_house(config, database=url)
    other.clock = one.clock
    await one.receiver.start()
    one.receiver.answers["/dana-push"] = receiver.status(500)
    async with one.running(), other.running():
        for name in ("dana-push", "dana-sms", "lee-push"):
            await one.endpoint(name)
        await one.signal(*(make.forecast(story=f"bsky:p{n}", crossing=None) for n in range(INCIDENTS)))
        for _ in range(40):
            await asyncio.gather(one.settle(), other.settle())
            one.clock.advance(30)
        await asyncio.gather(one.settle(), other.settle())
    arrived = {name: Counter(m.id for m in one.receiver.at(f"/{name}")) for name in ("dana-sms", "lee-push")}
    assert {name: len(ids) for name, ids in arrived.items()} == {"dana-sms": 2 * INCIDENTS, "lee-push": 2 * INCIDENTS}
    assert max(max(ids.values()) for ids in arrived.values()) == 1, "nothing was sent twice"
    engine = create_engine(url)
    with engine.connect() as connection:
        steps = connection.execute(text("SELECT incident, number, state FROM steps")).all()
        sent = connection.execute(text("SELECT incident, number, endpoint FROM pages")).all()
    engine.dispose()
    done = {(number, "done"): INCIDENTS for number in range(4)}
    assert Counter((row.number, row.state) for row in steps) == done | {(4, "waiting"): INCIDENTS}
    assert max(Counter(tuple(row) for row in sent).values()) == 1
    assert len(sent) == INCIDENTS * 6
