"""Explains what is wrong with a configuration or a machine, and what to do about it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Final

from rich.table import Table

from services.base import private
from services.base.errors import ConfigError, FirebreakError
from services.base.settings import Settings
from services.base.terminal import console, say
from services.config.file import ConfigFile
from services.config.loading import load
from services.config.model import Brand
from services.contracts.spelling import fold
from services.contracts.topics import SIGNALS, TOPICS
from services.eventlog.base import EventLog, Unavailable
from services.eventlog.position import healed
from services.runtime.process import open_log
from services.runtime.registry import SERVICES
from services.runtime.registry import load as load_object
from services.tools import data_folder
from services.tools.everyday_words import language_of_word
from services.tools.words import counted

ADMIN_KEY_CHARS: Final = 20
"""As `alerter.api.auth` wants it, which this must not import."""
LEAST_FREE_BYTES: Final = 1 << 30
OLDEST_SQLITE: Final = (3, 35, 0)
"""RETURNING came with it."""


class Findings:
    def __init__(self) -> None:
        self.ok = True

    def good(self, what: str) -> None:
        say("[green]ok[/]    {}", what)

    def note(self, what: str) -> None:
        say("[yellow]note[/]  {}", what)

    def bad(self, what: str, then: str) -> None:
        self.ok = False
        say("[red]wrong[/] {}\n      [bold]do[/]: {}", what, then)


async def diagnose(settings: Settings) -> bool:
    """Print everything that is wrong, not only the first thing. Returns True if nothing is."""
    found = Findings()
    _check_python(found)
    _check_configuration(found, settings)
    _check_secrets(found, settings)
    if _is_here("ingest"):
        _check_sources(found, settings)
    if _is_here("alerter"):
        _check_reach(found, settings)
        _check_endpoints(found, settings)
    usable = _check_machine(found, settings)
    _check_parts(found)
    if usable or settings.log == "kafka":
        await _check_log(found, settings)
    return found.ok


def _check_python(found: Findings) -> None:
    if not __debug__:
        found.bad(
            "Python runs with -O: assertions guard the transaction protocol",
            "start it without -O, and without PYTHONOPTIMIZE",
        )
    else:
        found.good(f"Python {sys.version.split()[0]}")


def _check_configuration(found: Findings, settings: Settings) -> None:
    try:
        config = load(settings.config)
    except ConfigError as error:
        found.bad(f"configuration:\n{error}", "correct the file; `firebreak doctor --schema` has every field")
        last = ConfigFile(settings.config, settings.data).last_good()
        if last is not None:
            found.note(f"until then a start runs on the last good configuration, version {last.version}")
        return
    accounts = sum(len(brand.accounts) for brand in config.brands)
    parts = ((len(config.brands), "brand"), (accounts, "account"), (len(config.rules), "rule"))
    found.good(f"{settings.config}: {', '.join(counted(number, what) for number, what in parts)}")
    for account, owner in config.owners_elsewhere():
        found.note(
            f"{account} is owned by {owner!r}, which is no responder and no schedule of the file: "
            "its messages need an endpoint of that name"
        )
    for brand in config.brands:
        _check_names(found, brand)
    if not config.rules:
        found.note("there are no rules, so nobody is ever told: add one (see the README)")


def _check_names(found: Findings, brand: Brand) -> None:
    """Note the names that everybody uses in another sense."""
    declared = {fold(name) for name in brand.ambiguous_names}
    for name in (brand.name, *brand.names):
        language = None if fold(name) in declared else language_of_word(name)
        if language is not None:
            found.note(
                f"brand {brand.id}: {name!r} is also an everyday word ({language}). With `ambiguous: [{name}]` it counts only "
                "where something shows that the brand is meant"
            )


def _check_secrets(found: Findings, settings: Settings) -> None:
    if _is_here("ingest") and not settings.api_keys.get_secret_value():
        found.bad("no FIREBREAK_API_KEYS: nobody may post", "set it to name:key, the key at least 16 characters")
    admin = "" if settings.admin_key is None else settings.admin_key.get_secret_value()
    if _is_here("alerter") and len(admin) < ADMIN_KEY_CHARS:
        why = "too short a" if admin else "no"
        then = f"set it to at least {ADMIN_KEY_CHARS} random characters"
        found.bad(f"{why} FIREBREAK_ADMIN_KEY: nobody may subscribe an endpoint", then)
    if _is_here("alerter"):
        _check_keys_at_rest(found, settings)


def _check_sources(found: Findings, settings: Settings) -> None:
    """Say of each connector whether it can be built with the secrets that the environment holds. No network is asked."""
    try:
        results = load_object("ingest.sources.findings:of_settings")(settings, load(settings.config))
    except FirebreakError:
        return  # what is wrong with the file is said by its own check
    for name, secrets, trouble in results:
        if trouble is None:
            found.good(f"source {name}: {f'secrets {secrets}' if secrets else 'needs no secret, or has none'}")
        else:
            found.bad(
                f"source {name}: {trouble}", f"set it in the environment; `firebreak sources test {name}` tries it"
            )


def _check_keys_at_rest(found: Findings, settings: Settings) -> None:
    try:
        late = load_object("alerter.store.rotation:late")(settings)
    except FirebreakError as error:
        what, _, then = str(error).partition("\ndo: ")
        found.bad(what, then or "the database must answer before its secrets can be looked at")
        return
    if settings.secret_keys is None or not settings.secret_keys.get_secret_value():
        found.note(
            "no FIREBREAK_SECRET_KEYS: URLs and secrets of endpoints lie unencrypted in the database, and in its backups"
        )
    elif late:
        found.note(
            f"{counted(late, 'secret')} in the database lie under an older key, or none: firebreak rotate-secrets"
        )
    else:
        found.good("the secrets of endpoints are encrypted in the database")


def _check_reach(found: Findings, settings: Settings) -> None:
    """Play every policy over the coming week, and compare the names of endpoints with those that exist."""
    try:
        whole = load_object("alerter.oncall.declared_config:of_settings")(settings, load(settings.config))
        findings, begun = load_object("alerter.escalation.dry_run:of_settings")(settings, whole.config)
    except FirebreakError:
        return  # what is wrong with the file or the database is said by its own check
    for words in load_object("alerter.oncall.declared_config:findings")(whole):
        found.note(words)
    for finding in findings:
        if finding.is_wrong and begun:
            found.bad(finding.words, "create or enable the endpoint, or close the gap; see docs/policies.md")
        else:
            found.note(finding.words)
    if findings and not begun:
        found.note("endpoints are created at run time, after the first start: until then nobody is told")
    elif not any(finding.is_wrong for finding in findings):
        found.good("every step of every policy reaches somebody in the coming week")


def _check_endpoints(found: Findings, settings: Settings) -> None:
    """Say what is the matter with endpoints that fail or are disabled."""
    try:
        findings = load_object("alerter.api.endpoint_findings:of_settings")(settings, load(settings.config))
    except FirebreakError:
        return  # as above
    for finding in findings:
        if finding.is_wrong:
            found.bad(finding.words, "see to the receiver: messages wait for it, and leave when it answers")
        else:
            found.note(finding.words)


def _check_machine(found: Findings, settings: Settings) -> bool:
    """Returns True if the data folder can be used."""
    trouble = data_folder.trouble_with(settings.data)
    if trouble is not None:
        found.bad(trouble.what, trouble.then)
        return False
    if settings.log == "kafka" and (settings.database is not None or not _is_here("alerter")):
        return True  # nothing that matters is kept there
    for path in private.open_to_others(settings.data):
        found.note(f"{path} can be read by other users of this machine: the next start closes it to them")
    free = shutil.disk_usage(settings.data).free
    if free < LEAST_FREE_BYTES:
        found.bad(f"only {free >> 20} MiB are free in {settings.data}", "make room: a full disk stops the log")
    else:
        found.good(f"{free >> 30} GiB are free in {settings.data}")
    return True


def _is_here(service: str) -> bool:
    """An image of one service holds no code of the others."""
    return find_spec(SERVICES[service].partition(".")[0]) is not None


def _check_parts(found: Findings) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        found.bad(f"SQLite {sqlite3.sqlite_version} is too old", "use a Python built with SQLite 3.35 or newer")
    for name, path in SERVICES.items():
        if not _is_here(name):
            found.note(f"{name} is not part of this image")
            continue
        try:
            load_object(path)
            found.good(f"{name} can be loaded")
        except ImportError as error:
            found.bad(f"{name} cannot be loaded: {error}", f"pip install 'firebreak[{name}]'")


async def _check_log(found: Findings, settings: Settings) -> None:
    if settings.log == "sqlite" and not (settings.data / "log.db").exists():
        found.good("the embedded log will be created at the first start")
        return
    try:
        async with _opened(settings) as log:
            for problem in await log.verify_topics():
                found.bad(problem, "`firebreak topics --create` makes what is missing; for the rest see the runbook")
            records = 0
            for topic in TOPICS:
                records += sum(after - start for start, after in (await log.bounds(topic.name)).values())
            found.good(f"the {settings.log} log answers and holds about {counted(records, 'record')}")
            if _is_here("alerter"):
                await _check_positions(found, settings, log)
    except Unavailable as error:
        then = (
            "start the brokers, or correct FIREBREAK_KAFKA_BOOTSTRAP"
            if settings.log == "kafka"
            else "see what the message says about the file"
        )
        found.bad(f"the log does not answer: {error}", then)
    except FirebreakError as error:
        found.bad(f"the log cannot be used: {error}", "restore the data directory from a backup")


async def _check_positions(found: Findings, settings: Settings, log: EventLog) -> None:
    """Note what is said to be applied to the alerter's database, and is not what this log holds."""
    try:
        known = load_object("alerter.desk.position:known")(settings)
    except FirebreakError:
        return  # what is wrong with the database is said by its own check
    there = await log.bounds(SIGNALS.name)
    for partition, position in sorted(known.items()):
        to = await healed(log, SIGNALS.name, partition, position) if partition in there else None
        if to is not None:
            found.note(
                f"signals of partition {partition} are said to be applied up to {position.next}, which is not so in this log:"
                f" it, or the database, was restored or made anew. The next start goes on at {to.next} and tells the endpoints"
                " of `operators`; look whether posts were lost (deploy/runbook.md#firebreakpositionshealed)"
            )


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[EventLog]:
    log = open_log(settings)
    try:
        async with asyncio.timeout(20):
            await log.start()
        yield log
    except TimeoutError:
        raise Unavailable("no answer within 20 s") from None
    finally:
        await log.close()


async def check_topics(settings: Settings, *, create: bool) -> bool:
    """Print the table of topics. On Kafka, compare it with the cluster, and create what is missing if `create` is set. Returns
    True if nothing is wrong."""
    table = Table("topic", "key", "kept", "partitions like")
    for topic in TOPICS:
        kept = "compacted" if topic.kept is None else f"{topic.kept.days} days"
        table.add_row(topic.name, topic.key, kept, topic.like or str(settings.partitions))
    console.print(table)
    if settings.log != "kafka":
        console.print("the embedded log creates its topics by itself; set FIREBREAK_LOG=kafka to check a cluster")
        return True
    from services.eventlog.kafka import KafkaLog

    log = KafkaLog.from_settings(settings)
    try:
        if create:
            await log.start()
        problems = await log.verify_topics()
    finally:
        await log.close()
    for problem in problems:
        say("[red]wrong[/] {}", problem)
    if not problems:
        say("[green]ok[/]    {} has all topics as they should be", settings.kafka_bootstrap)
    return not problems


async def quarantine_state(settings: Settings, place: str) -> None:
    """Set one state entry aside: its lane then begins that key anew. The services must be stopped."""
    partition, _, key = place.partition(":")
    if not partition.isdigit() or not key:
        raise ConfigError(f"{place!r} is not PARTITION:KEY; the message with which the lane stopped names both")
    await load_object("scorer.state_tools:quarantine")(open_log(settings), int(partition), key, settings.data)
    say("the entry {} of partition {} was set aside in {}", repr(key), partition, settings.data)


def settings_table() -> None:
    table = Table("variable", "default", "meaning")
    for name, field in Settings.model_fields.items():
        secret = "Secret" in str(field.annotation)
        default = "" if field.default is None else "(secret)" if secret else str(field.default)
        table.add_row(f"FIREBREAK_{name.upper()}", default, field.description or "")
    console.print(table)
