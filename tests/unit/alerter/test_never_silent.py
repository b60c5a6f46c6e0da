"""Whatever people, receivers and time do to a severe incident in whatever order: something will page somebody, or it is red.

The desk that serves, its timers and an in-memory database; only what the network does is played.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, create_engine, select, update
from sqlalchemy.pool import StaticPool

from alerter.desk.context import Context
from alerter.desk.handover import NotThere
from alerter.desk.service import IncidentService
from alerter.escalation import pages, rings, steps, untold
from alerter.incidents import model
from alerter.incidents.record import IncidentRecord
from alerter.incidents.store import IncidentStore, Origin
from alerter.incidents.transitions import Refused
from alerter.notify import endpoints, outbox
from alerter.notify.endpoints import Draft
from alerter.silences import store as silences
from alerter.silences.matching import Covers, Field, Matcher
from alerter.states import DeliveryState, StepState
from alerter.store import tables
from alerter.store.tables import deliveries, metadata
from alerter.timekeeper import engine
from services.contracts.base import EventId
from services.contracts.signal import Level
from tests.unit.alerter import make

NAMES = ("dana-push", "dana-call", "lee-push", "lead")
CALLED = st.sampled_from(NAMES)
PEOPLE = st.sampled_from(["dana", "lee"])
RULES = [{"method": "dana-push"}, {"after_minutes": 3, "method": "dana-call"}]
RESPONDERS = [
    {"id": "dana", "methods": ["dana-push", "dana-call"], "notify": {"urgent": RULES}},
    {"id": "lee", "methods": ["lee-push"]},
]
LAYER = {"id": "all", "rotation": "daily", "begins": "2026-02-28T10:00", "responders": ["dana", "lee"]}
STEPS = [
    {"targets": ["responder:dana"]},
    {"after_minutes": 10, "targets": ["schedule:night"]},
    {"after_minutes": 10, "targets": ["lead"]},
]
SEVERITIES: dict[int, dict[str, Any]] = {
    3: {},
    2: {"mood": make.mood(), "probability": 0.6},
    1: {"mood": make.mood(), "probability": 0.95},
}
_STORY = select(tables.incidents.c.id).order_by(tables.incidents.c.ordinal)
MOST_MUTED = 40
"""Minutes for which people in this test have it, snooze or silence it, at most."""
MOST_TURNS = 2_000


class Night(RuleBasedStateMachine):
    @initialize(
        there=st.sets(CALLED), rounds=st.integers(0, 1), fallback=st.booleans(), severity=st.sampled_from([1, 2, 3])
    )
    def opens(self, there: set[str], rounds: int, fallback: bool, severity: int) -> None:
        policy = {"id": "default", "steps": STEPS, "repeat": rounds, "fallback": ["lead"] if fallback else []}
        self.config = make.config(
            policies=[policy],
            responders=RESPONDERS,
            schedules=[{"id": "night", "zone": "UTC", "layers": [LAYER]}],
        )
        self.engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        metadata.create_all(self.engine)
        self.now, self.number, self.failing = make.NOW, 0, set[str]()
        for name in there:
            self.created(name)
        self.signals(severity, Level.LIKELY)

    def teardown(self) -> None:
        """In the end everything works and nobody acts: then somebody is paged, as long as it is severe."""
        if not hasattr(self, "engine"):
            return
        for name in NAMES:
            self.mended(name)
            self.created(name)
        self.pass_minutes(MOST_MUTED + 5)
        before, at = self.records, self.now
        self.pass_minutes(90)
        for was, is_now in zip(before, self.records, strict=True):
            arrived = select(tables.pages.c.id).join(deliveries, deliveries.c.id == tables.pages.c.delivery)
            since = (tables.pages.c.incident == was.incident.id, tables.pages.c.paged_at > at)
            query = arrived.where(*since, deliveries.c.state == DeliveryState.DELIVERED).limit(1)
            if was.is_pressing and is_now.is_pressing:
                with self.engine.begin() as connection:
                    assert connection.scalar(query) is not None, "nobody is paged any more"
        self.engine.dispose()

    @property
    def records(self) -> list[IncidentRecord]:
        """All incidents of the story, the newest last: one that ended may be followed by another."""
        with self.engine.begin() as connection:
            every = connection.scalars(_STORY).all()
            found = [IncidentStore(connection).load(one) for one in every]
        return [one for one in found if one is not None]

    def does(self, work: Callable[[IncidentService, str], object]) -> None:
        """One transaction, and what the network makes of it."""
        with self.engine.begin() as connection:
            desk = IncidentService(connection, Context(self.now, self.now, self.config, None))
            work(desk, (connection.scalars(_STORY).all() or [""])[-1])
        self.sends()

    def sends(self) -> None:
        with self.engine.begin() as connection:
            pending = connection.execute(
                select(*deliveries.c["id", "endpoint"]).where(deliveries.c.state == DeliveryState.PENDING)
            ).all()
            taken = [row.id for row in pending if row.endpoint not in self.failing]
            done = {"state": DeliveryState.DELIVERED, "finished_at": self.now}
            connection.execute(update(deliveries).where(deliveries.c.id.in_(taken)).values(**done))
            pages.arrived(connection, taken)
            for row in pending:
                if row.endpoint in self.failing:
                    pages.failing(connection, row.id, pages.MOST_FAILURES, False, self.now)

    def settles(self) -> None:
        for _ in range(MOST_TURNS):
            with self.engine.begin() as connection:
                due = engine.next_due(connection)
                if due is None or due > self.now:
                    return
                found = [
                    *(("step", one) for one in steps.due(connection, self.now, 1)),
                    *(("page", one) for one in pages.due(connection, self.now, 1)),
                    *(("ring", one) for one in rings.due(connection, self.now, 1)),
                    *(("look", (one, 0)) for one in untold.due(connection, self.now, 1)),
                    *(("fire", (one, 0)) for one in IncidentStore(connection).due(self.now, 1)),
                ]
            kind, (one, number) = found[0]
            self.does(lambda desk, _, k=kind, i=one, n=number: self.timer(desk, k, i, n))  # type: ignore[misc]
        raise AssertionError("what is due stays due")

    @staticmethod
    def timer(desk: IncidentService, kind: str, one: str, number: int) -> None:
        timers = desk.timers
        if kind == "step":
            timers.step(one, number)
        elif kind == "page":
            timers.unreached(one, number)
        elif kind == "ring":
            timers.ring(one, number)
        elif kind == "look":
            timers.look_again(one)
        else:
            timers.fire(one)

    def pass_minutes(self, minutes: float) -> None:
        until = self.now + timedelta(minutes=minutes)
        while True:
            self.settles()
            with self.engine.begin() as connection:
                due = engine.next_due(connection)
            if due is None or due > until:
                break
            self.now = due
        self.now = until

    @rule(severity=st.sampled_from([1, 2, 3]), level=st.sampled_from(Level))
    def signals(self, severity: int, level: Level) -> None:
        self.number += 1
        signal = make.forecast(self.number, level, crossing=None, at=self.now, **SEVERITIES[severity])
        origin = Origin(EventId(f"s{self.number}"), 0, self.number)
        self.does(lambda desk, _: desk.signals.apply(signal, origin))
        self.settles()

    @rule(
        what=st.sampled_from(["acknowledge", "snooze", "escalate", "resolve", "reopen"]),
        by=PEOPLE,
        minutes=st.integers(1, MOST_MUTED),
    )
    def acts(self, what: str, by: str, minutes: int) -> None:
        def act(desk: IncidentService, one: str) -> None:
            more = (minutes,) if what in ("acknowledge", "snooze") else ()
            getattr(desk.people, what)(one, by, "", *more)

        self.tries(act)

    @rule(by=PEOPLE, to=st.sampled_from(["dana", "lee", "night", "lead"]))
    def hands_over(self, by: str, to: str) -> None:
        self.tries(lambda desk, one: desk.people.reassign(one, by, to, ""))

    def tries(self, act: Callable[[IncidentService, str], object]) -> None:
        try:
            self.does(act)
        except (Refused, NotThere):
            self.sends()
        self.settles()

    @rule(minutes=st.integers(1, MOST_MUTED))
    def silenced(self, minutes: int) -> None:
        matcher = Matcher(field=Field.BRAND, values=("acme",))
        ends = self.now + timedelta(minutes=minutes)
        with self.engine.begin() as connection:
            silences.add(connection, Covers.ALL, [matcher], self.now, ends, "mia", "", self.now)

    @rule()
    def heard_again(self) -> None:
        with self.engine.begin() as connection:
            for one in silences.in_force(connection, self.now):
                silences.end(connection, one.id, self.now)
        self.settles()

    @rule(name=CALLED)
    def breaks(self, name: str) -> None:
        self.failing.add(name)

    @rule(name=CALLED)
    def mended(self, name: str) -> None:
        self.failing.discard(name)
        self.sends()
        self.pass_minutes(5)  # what arrives late is noticed when the steps that reached nobody are looked at

    @rule(name=CALLED)
    def created(self, name: str) -> None:
        with self.engine.begin() as connection:
            endpoints.add(connection, Draft(name, "https://nobody.invalid/"), self.now)
            untold.look_now(connection, self.now)
        self.settles()

    @rule(name=CALLED)
    def deleted(self, name: str) -> None:
        with self.engine.begin() as connection:
            outbox.cancel_for(connection, name, self.now, pages)
            endpoints.remove(connection, name)
        self.settles()

    @rule(minutes=st.integers(1, 90))
    def time_passes(self, minutes: int) -> None:
        self.pass_minutes(minutes)
        self.settles()

    @invariant()
    def something_will_page_somebody_or_it_is_red(self) -> None:
        if not hasattr(self, "engine"):
            return
        for record in self.records:
            with self.engine.begin() as connection:
                waits = _waits(connection, record)
                is_red = bool(untold.words_of(connection, [record.incident.id]))
            if record.is_pressing:
                assert waits or is_red, "silence that looks calm"
            elif not record.ended:
                assert waits or model.due(record) is not None, "what holds it back ends by itself"


def _waits(connection: Connection, record: IncidentRecord) -> bool:
    planned = steps.planned(connection, record.incident.id)
    return any(state is StepState.WAITING for _, _, state, _ in planned)


Night.TestCase.settings = settings(
    max_examples=15,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestNight = Night.TestCase
