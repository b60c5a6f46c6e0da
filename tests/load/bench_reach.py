"""What the dry run of a large configuration costs: 1,000 accounts, 500 responders, and what they hang together by: schedules
that were edited, overrides, absences, and endpoints with hours."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from alerter.escalation import dry_run
from alerter.escalation.dry_run import Known
from alerter.oncall.reach import Reachable
from alerter.oncall.roster import Roster
from alerter.oncall.shifts import Absence, Override
from alerter.oncall.versions import Version
from services.config.model import Config
from services.config.rota import Window
from tests.unit.alerter import make

ACCOUNTS = 1000
RESPONDERS = 500
SCHEDULES = 100
POLICIES = 50
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe")


def large() -> tuple[Config, Known]:
    """Returns a configuration of that size, and what exists: one method of each responder, and no fallback."""
    responders = [{"id": f"r{n}", "methods": [f"push-{n}", f"sms-{n}"]} for n in range(RESPONDERS)]
    schedules = [
        {
            "id": f"s{n}",
            "zone": ZONES[n % len(ZONES)],
            "layers": [
                {
                    "id": f"layer{layer}",
                    "rotation": "daily",
                    "begins": "2026-01-05T09:00",
                    "responders": [f"r{(n * 5 + layer + k) % RESPONDERS}" for k in range(5)],
                    "only": [{"days": ["mon", "tue", "wed", "thu", "fri", "sat"]}],
                }
                for layer in range(2)
            ],
        }
        for n in range(SCHEDULES)
    ]
    owners = [f"r{n}" if n % 3 else f"s{n % SCHEDULES}" for n in range(RESPONDERS)]
    brands = [
        {
            "id": f"b{n}",
            "name": f"Brand {n}",
            "accounts": [{"network": "x", "handle": f"b{n}", "owner": owners[n % len(owners)]}],
        }
        for n in range(ACCOUNTS)
    ]
    policies = [
        {"id": f"p{n}", "steps": [{"targets": ["owner"]}, {"targets": [f"schedule:s{n}"]}, {"targets": [f"lead-{n}"]}]}
        for n in range(POLICIES)
    ]
    rules = [{"id": f"rule{n}", "level": "likely", "policy": f"p{n}"} for n in range(POLICIES)]
    config = make.config(brands=brands, responders=responders, schedules=schedules, policies=policies, rules=rules)
    there = {f"push-{n}": _endpoint(n) for n in range(RESPONDERS)}
    return config, Known(there, _roster(config))


def _endpoint(number: int) -> Reachable:
    brands = frozenset({f"b{number}"}) if number % 10 == 0 else frozenset[str]()
    windows = (Window(begins="07:00", ends="22:00"),) if number % 3 == 0 else ()
    return Reachable(brands, windows=windows, zone=ZONES[number % len(ZONES)])


def _roster(config: Config) -> Roster:
    """Ten overrides a schedule, every third person absent for a day, and an edit of each schedule today."""
    now, hour = make.NOW, timedelta(hours=1)
    overrides = [
        Override(f"{n}", f"s{n % SCHEDULES}", now + n % 97 * hour, now + (n % 97 + 8) * hour, f"r{n % RESPONDERS}", None,
                 "lead", "", now - n * hour)
        for n in range(10 * SCHEDULES)
    ]  # fmt: skip
    absences = [
        Absence(f"{n}", f"r{n}", now + n % 120 * hour, now + (n % 120 + 24) * hour, "sick", "UTC", "lead", "", now)
        for n in range(0, RESPONDERS, 3)
    ]
    histories = {one.id: [Version.of(one, first=(1, 1)), Version.of(one, now)] for one in config.schedules}
    return Roster(overrides, absences, histories, now)


def run() -> dict[str, Any]:
    config, known = large()
    config.prepare()
    began = time.perf_counter()
    found = dry_run.findings(config, known, make.NOW)
    took = time.perf_counter() - began
    return {
        f"dry run, {ACCOUNTS} accounts, {RESPONDERS} responders, {POLICIES} policies, s": took,
        "dry run, findings": len(found),
    }
