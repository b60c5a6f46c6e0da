"""Builds the alerter: signals come in, incidents and deliveries go out, and its database is the only commit point."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from alerter.api.auth import check_root_key
from alerter.api.reply_limits import ReplyLimits
from alerter.api.routes import mount_api
from alerter.console.live import LiveUpdates
from alerter.console.pages import mount_console
from alerter.console.sign_ins import SignIn, SignIns
from alerter.desk.consumer import Consumer
from alerter.desk.context import Context
from alerter.desk.service import IncidentService
from alerter.escalation import pages
from alerter.metrics import AlerterMetrics
from alerter.notify import outbox
from alerter.notify.alertmanager_resend import Repeater
from alerter.notify.deliverer import Deliverer
from alerter.notify.http import HttpSender
from alerter.notify.links import LinkSigner
from alerter.notify.outlets import Outlets
from alerter.notify.publisher import Publisher
from alerter.oncall.declared_config import AlerterContext
from alerter.store import sealing
from alerter.store.database import Database, DatabaseAway, default_url
from alerter.store.installation import shared_key
from alerter.store.vault import Vault
from alerter.timekeeper import engine as escalation
from alerter.timekeeper import set_back
from alerter.timekeeper.config_news import ConfigNews
from alerter.timekeeper.declaration_news import DeclarationNews
from alerter.timekeeper.engine import Engine
from alerter.timekeeper.foresight import Foresight
from alerter.timekeeper.gauges import GaugeReader
from alerter.timekeeper.retention import Keep, Purger
from alerter.timekeeper.rota_history import RotaHistory
from alerter.timekeeper.set_back import ClockNotes
from services.base import private
from services.base.clock import steady_time
from services.base.egress import GuardedBackend, Resolver, allowed_networks, resolve
from services.base.tasks import Health, Tasks
from services.runtime.lifecycle import Service, ServiceContext

logger = structlog.get_logger()

T = TypeVar("T")


def build(context: ServiceContext) -> Service:
    """Raises `ConfigError` if a setting cannot be used."""
    return Alerter(context)


class Alerter:
    """The service. Tests pass `wall`, the clock for leases and signatures, `monotonic`, which bounds transactions, and
    `resolver`, to play a hostile DNS."""

    name = "alerter"

    def __init__(
        self,
        context: ServiceContext,
        *,
        wall: Callable[[], float] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        resolver: Resolver = resolve,
    ) -> None:
        settings = context.settings
        check_root_key(settings.admin_key)
        own = AlerterContext.of(context)
        self.process: ServiceContext = own
        self.declared = own.declared
        self.metrics = AlerterMetrics(context.registry)
        # Receivers compare what is signed with their clock; leases and second tries only need one that goes on.
        signed_at, wall = (wall or time.time), (wall or steady_time)
        self._wall = wall
        private.make_folder(settings.data)
        self.vault = Vault.from_settings(settings)
        self.database = Database(settings.database or default_url(settings.data), self.vault)
        self.allowed = allowed_networks(settings.egress_allow)
        self.links = LinkSigner(settings.public_url)
        sender = HttpSender(GuardedBackend(self.allowed, resolver), signed_at)
        self.outlets = Outlets(sender, signed_at, self.links, self.allowed, settings.public_url)
        owner = settings.instance or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self.deliverer = Deliverer(self.database, self.outlets, context.clock, wall, owner, self.metrics, pages)
        keep = Keep(timedelta(days=settings.keep_deliveries_days), timedelta(days=settings.keep_incidents_days))
        self.purger = Purger(self.database, context.clock.now, self.deliverer.wall_now, keep, self.metrics)
        self.repeater = Repeater(self.database, self.outlets.alertmanager, signed_at, self.metrics)
        self.publisher = Publisher(self.database, context.log, context.clock, self.metrics)
        self.engine = Engine(self.database, context.clock, self.context, self.ring, self.metrics)
        self.clock_notes = ClockNotes(self.database, self.context, self.metrics)
        self.rota_history = RotaHistory(self.database, self.context, self.declared, self.metrics)
        self.foresight = Foresight(self.database, self.declared, self.context, self.metrics)
        self.declaration_news = DeclarationNews(self.database, self.declared, self.context, self.ring, self.metrics)
        self.gauges = GaugeReader(self.database, self.context, self.metrics)
        self.config_news = ConfigNews(self.database, context.current, self.context, self.ring, self.metrics)
        self.deliverer.page_failed = self.engine.bell.set
        self.consumer = Consumer(context, self.database, self.context, self.ring, self.metrics, monotonic)
        self.live_updates = LiveUpdates(self.database)
        for outcome in SignIn:
            self.metrics.sign_ins.labels(outcome.value)  # from zero, so that the first one shows as an increase
        self.sign_ins = SignIns(lambda what: self.metrics.sign_ins.labels(what.value).inc())
        self.reply_limits = ReplyLimits()
        self.started = False
        self._stopping = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []

    def context(self) -> Context:
        settings = self.process.settings
        wall = datetime.fromtimestamp(self._wall(), UTC)
        return Context(self.process.clock.now(), wall, self.process.config, settings.public_url)

    def ring(self) -> None:
        """Wake all loops that wait for work, after a commit."""
        self.engine.bell.set()
        self.deliverer.bell.set()
        self.publisher.bell.set()
        self.live_updates.bell.set()

    async def start(self, tasks: Tasks) -> None:
        if not await self.database.arrives(self._stopping):
            return
        late = await self.database.read(lambda c: sealing.check(c, self.vault))
        at = self.context()
        back = await self.database.write(lambda c: set_back.mend(c, at.now, at.wall))
        if back:
            logger.warning("clock_set_back_between_lives", seconds=back.total_seconds(), so="what is to come was moved")
        alone, instance = self.database.alone(), self.process.settings.instance
        if late:
            await sealing.settle(self.database, self.vault, late, alone)
        await self.declared.look(self.database)  # before anything is decided
        await self.rota_history.turn()  # before anybody is paged
        self.links.key = await self.database.write(lambda c: shared_key(c, "links"))
        if alone or instance is not None:
            freed = await self.database.write(lambda c: outbox.release_leases(c, None if alone else instance))
            if freed:
                logger.warning("leases_of_an_earlier_process_released", deliveries=freed)
        if not (self.process.settings.admin_key and self.process.settings.admin_key.get_secret_value()):
            logger.warning(
                "api_closed", why="FIREBREAK_ADMIN_KEY is not set; every call of the alerter's API answers 401"
            )
        # A test may call `stop` alone: then the loops end as asked, too.
        stopping = self._stopping.is_set
        self._loops = [
            tasks.spawn("alerter-deliverer", self.deliverer.run, stopping),
            tasks.spawn("alerter-repeater", self.repeater.run, stopping),
            tasks.spawn("alerter-purger", self.purger.run, stopping),
            tasks.spawn("alerter-publisher", self.publisher.run, stopping),
            tasks.spawn("alerter-engine", self.engine.run, stopping),
            tasks.spawn("alerter-clock-notes", self.clock_notes.run, stopping),
            tasks.spawn("alerter-rota-history", self.rota_history.run, stopping),
            tasks.spawn("alerter-foresight", self.foresight.run, stopping),
            tasks.spawn("alerter-declarations", self.declaration_news.run, stopping),
            tasks.spawn("alerter-gauges", self.gauges.run, stopping),
            tasks.spawn("alerter-config-news", self.config_news.run, stopping),
            tasks.spawn("alerter-live-updates", self.live_updates.run, stopping),
        ]
        await self.consumer.lanes.start(tasks)
        self.started = True

    def ready(self) -> Health:
        ok, detail = self.consumer.lanes.ready()
        if self.database.away:
            detail = {**detail, "waiting": "the database is locked or does not answer"}
        if self.gauges.untold:
            detail = {**detail, "untold": self.gauges.untold}
        return Health(self.started and ok and not self.database.away, detail)

    def live(self) -> Health:
        return self.consumer.lanes.live()

    async def idle(self) -> bool:
        # In the order of the flow, because an earlier part makes work for a later one.
        now = self.process.clock.now()
        if not self.started or not await self.consumer.lanes.idle(now):
            return False
        # Twice: steps make deliveries, and a delivery that fails makes a step due.
        for _ in range(2):
            due = await self.database.read(escalation.next_due)
            if due is not None and due <= now:
                return False
            if await self.database.read(lambda c: outbox.due_now(c, now)):
                return False
        return True

    def mount(self, app: Any) -> None:
        mount_api(app, self)
        mount_console(app, self, self.live_updates, self.sign_ins)

    async def act(self, work: Callable[[IncidentService], T]) -> T:
        """Do what a person asked for, in one transaction. Returns the result of `work`."""

        def transact(connection: Connection) -> tuple[T, IncidentService]:
            desk = IncidentService(connection, self.context())
            return work(desk), desk

        result, done = await self.database.write(transact)
        self.metrics.count_announced(done.published, done.decisions)
        self.ring()
        return result

    async def stop(self, deadline: float) -> None:
        """Stop the signals first, so that nothing new comes in; then wait until attempts in flight are recorded."""
        self._stopping.set()
        self.live_updates.close()
        await self.consumer.lanes.stop(deadline)
        self.engine.stop()
        self.deliverer.stop()
        self.repeater.stop()
        self.purger.stop()
        self.clock_notes.stop()
        self.rota_history.stop()
        self.foresight.stop()
        self.declaration_news.stop()
        self.gauges.stop()
        self.config_news.stop()
        self.publisher.stop()
        if self._loops:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            _, late = await asyncio.wait(self._loops, timeout=left)
            for loop in late:  # what it has in flight is repeated by the next process, under the same ids
                loop.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self.started:
            with contextlib.suppress(DatabaseAway):
                await self.clock_notes.turn()
        self.reply_limits = ReplyLimits()
        self.started = False
        await self.outlets.close()
        await self.database.close()
