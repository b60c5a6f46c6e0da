"""Imports what the processes of the tests need, once, in the parent that they are forked from (see `tests.forked`)."""

from __future__ import annotations

import gc
from importlib import import_module
from typing import Final

MODULES: Final = (
    "aiokafka.admin",  # and not `services.eventlog.kafka`, which reads the environment when it is imported
    "alerter.service",
    "httptools",
    "icalendar",
    "ingest.service",
    "jinja2",
    "markdown_it",
    "psycopg",
    "scorer.service",
    "services.cli",
    "services.eventlog.sqlite",
    "services.runtime.process",
    "services.tools.data_folder",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "tests.integration.alerter.lives",
    "tests.integration.alerter.storm_life",
    "tests.oracle.launch",
    "uvloop",
)

for name in MODULES:
    import_module(name)
# What is there is shared with every child; a collection would touch all of it and make each child a copy of its own.
gc.collect()
gc.freeze()
