"""What `firebreak doctor` says of sources: whether each can be built with the secrets in the environment. Asks no network."""

from __future__ import annotations

from typing import NamedTuple

from ingest.sources.base import Refused
from ingest.sources.building import build_source, wanted
from ingest.sources.purse import Purse
from ingest.sources.secrets import secrets_of
from services.base.clock import RealClock
from services.base.egress import GuardedBackend, allowed_networks
from services.base.errors import ConfigError
from services.base.guarded_client import guarded_client
from services.base.settings import Settings
from services.config.model import Config


class Finding(NamedTuple):
    """`secrets` are the names of those that are set, never what they say."""

    name: str
    secrets: str
    trouble: str | None


def of_settings(settings: Settings, config: Config) -> list[Finding]:
    """One finding for each connector. Building does no input or output."""
    findings, configured, clock = [], wanted(config), RealClock()
    http = guarded_client(GuardedBackend(allowed_networks(settings.egress_allow)))
    for name, one in sorted(configured.items()):
        trouble, secrets = None, ""
        try:
            secrets = ", ".join(sorted(secrets_of(name, configured)))
            build_source(one, configured, clock, http, Purse(one.section.spending, clock))
        except (Refused, ConfigError) as error:
            trouble = str(error)
        findings.append(Finding(name, secrets, trouble))
    return findings
