"""kill -9 at every seam: after a restart each step was done once, no message is missing, and only the attempt that was in
flight is repeated, under its id.

The kills are played side by side, each in a folder of its own, because most of their time is waiting.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import create_engine, text

from alerter.notify import signing
from alerter.store.database import default_url
from services.contracts.codec import decode
from services.contracts.topics import INCIDENTS
from services.eventlog.sqlite import SqliteLog
from tests.integration.alerter import lives
from tests.integration.alerter import receiver as answers
from tests.integration.alerter.lives import PLOTS
from tests.integration.alerter.migrated import migrated_file
from tests.integration.alerter.receiver import Got, Receiver, verify
from tests.oracle.scenes import Fates, played
from tests.postgres_fixture import Databases

TWO_STEPS: Final = (
    "alerter.begun:1",  # applying the signal
    "alerter.committed:1",
    "alerter.begun:2",  # doing the second step
    "alerter.committed:2",
    "delivery.claimed:1",
    "delivery.sent:1",
    "delivery.recorded:1",
    "delivery.claimed:2",
    "delivery.sent:2",
    "delivery.recorded:2",
)
A_PAGE_FAILS: Final = (
    "alerter.begun:1",  # applying the signal
    "alerter.committed:1",
    "delivery.recorded:1",  # the page's failure is written, nobody has looked at it
    "alerter.begun:2",  # the page that failed goes on to the next method
    "alerter.committed:2",
    "delivery.sent:2",
    "alerter.begun:3",  # the second step
    "alerter.committed:3",
    "alerter.begun:4",
    "alerter.committed:4",
)
A_PERSON_SLEEPS: Final = (
    "alerter.committed:1",  # the page, with the rows of what is to follow it
    "alerter.begun:2",  # the first ring
    "alerter.committed:2",
    "delivery.sent:2",
    "alerter.begun:3",  # the second step
    "alerter.begun:4",  # the second ring
    "alerter.committed:4",
    "delivery.recorded:4",
)
QUERIES: Final = {
    "incidents": "SELECT COUNT(*) FROM incidents",
    "deliveries": "SELECT state, COUNT(*) FROM deliveries GROUP BY state",
    "begun": "SELECT COUNT(*) FROM attempts WHERE outcome = 'begun'",
    "steps": "SELECT number, state FROM steps ORDER BY number",
    "rings": "SELECT method, state FROM rings ORDER BY id",
    "pages": "SELECT number, endpoint, state FROM pages ORDER BY id",
}


@dataclass(frozen=True)
class Place:
    folder: Path
    receiver: Receiver
    secret: str
    database: str | None
    """The URL of a server's; `None`: a file in `folder`."""

    async def life(self, plot: str, crash_at: str | None) -> int:
        """Its exit code."""
        words = [
            plot,
            str(self.folder),
            self.receiver.url(""),
            self.secret,
            *([self.database] if self.database else []),
        ]
        said = self.folder / "said"
        armed = {} if crash_at is None else {"FIREBREAK_CRASH_AT": crash_at}
        process = await lives.begin(lives.main, words, said, **armed)
        try:
            code = await process.wait()
        finally:
            await process.end()
        assert code in (0, -signal.SIGKILL), said.read_text(errors="replace")
        return code

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        engine = create_engine(self.database or default_url(self.folder))
        try:
            with engine.connect() as connection:
                return [tuple(row) for row in connection.execute(text(query))]
        finally:
            engine.dispose()


@dataclass(frozen=True)
class Outcome:
    """What arrived at the receivers before and after the kill, and what the database and the log say in the end."""

    before: Sequence[Got]
    got: Sequence[Got]
    rows: Mapping[str, Sequence[tuple[Any, ...]]]
    changes: Sequence[bytes]


async def killed(place: Place, plot: str, seam: str) -> Outcome:
    assert await place.life(plot, seam) == -signal.SIGKILL, "the seam was never passed"
    before = tuple(place.receiver.got)
    assert await place.life(plot, None) == 0
    for one in place.receiver.got:
        verify(place.secret, one)
    log = SqliteLog(place.folder / "log.db", 1, retention=False)
    await log.start()
    records = (await log.read(INCIDENTS.name, 0, 0, 100)).records
    await log.close()
    rows = {name: place.rows(query) for name, query in QUERIES.items()}
    return Outcome(before, tuple(place.receiver.got), rows, [record.value or b"" for record in records])


@asynccontextmanager
async def place_in(folder: Path, name: str, postgres: Databases | None) -> AsyncIterator[Place]:
    receiver = Receiver()
    if "a page fails" in name:
        receiver.answers["/dana-push"] = answers.status(410)
    await receiver.start()
    try:
        with ExitStack() as stack:
            database = None if postgres is None else stack.enter_context(postgres.lent())
            if database is None:
                migrated_file(folder)
            yield Place(folder, receiver, signing.new_secret(), database)
    finally:
        await receiver.stop()


def _killed_at(plot: str, seam: str) -> Callable[[Place], Awaitable[Outcome]]:
    return lambda place: killed(place, plot, seam)


# The longest first: without a name of its own an alerter on PostgreSQL waits for the leases of the dead to end.
ON_POSTGRESQL: Final = {
    f"postgresql: {plot}: {seam}": _killed_at(plot, seam)
    for plot, seams in (("a page fails", A_PAGE_FAILS), ("a person sleeps", A_PERSON_SLEEPS))
    for seam in seams
}
ON_SQLITE: Final = {
    **{f"sqlite: a person sleeps: {seam}": _killed_at("a person sleeps", seam) for seam in A_PERSON_SLEEPS},
    **{f"sqlite: a page fails: {seam}": _killed_at("a page fails", seam) for seam in A_PAGE_FAILS},
    **{f"sqlite: two steps: {seam}": _killed_at("two steps", seam) for seam in TWO_STEPS},
}


@pytest.fixture(scope="module")
def fates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Fates[Outcome]:
    # Where there is no PostgreSQL, the tests that want it say so themselves.
    postgres: Databases | None = None
    with suppress(pytest.skip.Exception, pytest.fail.Exception):
        postgres = request.getfixturevalue("postgres")

    def place(name: str) -> AbstractAsyncContextManager[Place]:
        return place_in(tmp_path_factory.mktemp("life"), name, postgres if name.startswith("postgresql") else None)

    return played((ON_POSTGRESQL if postgres is not None else {}) | ON_SQLITE, place, at_once=10)


@pytest.mark.parametrize("seam", TWO_STEPS)
def test_a_kill_loses_nothing_and_repeats_only_the_attempt_in_flight(fates: Fates[Outcome], seam: str) -> None:
    outcome = fates.outcome(f"sqlite: two steps: {seam}")
    before, arrivals = (Counter(one.id for one in some) for some in (outcome.before, outcome.got))
    assert sorted({(one.id, one.type) for one in outcome.got}, key=lambda pair: pair[1]) == [
        (next(one.id for one in outcome.got if one.type == kind), kind)
        for kind in ("incident.escalated", "incident.opened")
    ]
    repeated = {one: count for one, count in arrivals.items() if count > 1}
    if seam.startswith("delivery.sent"):
        assert list(repeated.values()) == [2], "what was in flight is repeated, once"
        assert set(repeated) <= set(before)
    else:
        assert repeated == {}
    assert outcome.rows["incidents"] == [(1,)]
    assert outcome.rows["deliveries"] == [("delivered", 2)]
    assert outcome.rows["begun"] == [(0,)]
    assert outcome.rows["steps"] == [(0, "done"), (1, "done")]
    assert len({decode(change).id for change in outcome.changes}) == 2


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    if kind == "postgresql":
        request.getfixturevalue("postgres")
    return kind


@pytest.mark.parametrize("seam", A_PAGE_FAILS)
def test_a_kill_while_a_page_fails_misses_no_step_and_doubles_none(
    fates: Fates[Outcome], database: str, seam: str
) -> None:
    outcome, names = fates.outcome(f"{database}: a page fails: {seam}"), PLOTS["a page fails"].endpoints
    arrived = {name: Counter(one.id for one in outcome.got if one.path == f"/{name}") for name in names}
    assert {name: len(ids) for name, ids in arrived.items()} == dict.fromkeys(names, 1), "each was told one thing"
    repeated = {name for name, ids in arrived.items() if max(ids.values()) > 1}
    assert len(repeated) <= seam.startswith("delivery."), "only the attempt in flight may be repeated"
    assert outcome.rows["steps"] == [(0, "done"), (1, "done"), (2, "done")]
    pages = outcome.rows["pages"]
    assert [(number, endpoint) for number, endpoint, state in pages if state == "failed"] == [(0, "dana-push")]
    assert Counter((number, endpoint) for number, endpoint, _ in pages) == Counter(
        [(0, "dana-push"), (0, "dana-sms"), (1, "lee-push"), (2, "desk")]
    )


@pytest.mark.parametrize("seam", A_PERSON_SLEEPS)
def test_a_kill_while_a_person_is_rung_misses_no_ring_and_doubles_none(
    fates: Fates[Outcome], database: str, seam: str
) -> None:
    outcome, names = fates.outcome(f"{database}: a person sleeps: {seam}"), PLOTS["a person sleeps"].endpoints
    arrived = {name: Counter(one.id for one in outcome.got if one.path == f"/{name}") for name in names}
    assert {name: len(ids) for name, ids in arrived.items()} == dict.fromkeys(names, 1), "each was told one thing"
    repeated = {name for name, ids in arrived.items() if max(ids.values()) > 1}
    assert len(repeated) <= seam.startswith("delivery."), "only the attempt in flight may be repeated"
    assert outcome.rows["rings"] == [("dana-sms", "done"), ("dana-call", "done")]
    assert outcome.rows["steps"] == [(0, "done"), (1, "done")]
    assert Counter((number, endpoint) for number, endpoint, _ in outcome.rows["pages"]) == Counter(
        [(0, "dana-push"), (0, "dana-sms"), (1, "lee-push"), (0, "dana-call")]
    )
