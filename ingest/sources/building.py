"""Builds a source from what the configuration and the environment say of it. Only kinds that are used are imported."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from httpx2 import AsyncClient

from ingest.sources.base import Refused, SourceContext, Spend
from ingest.sources.kinds import KINDS
from ingest.sources.secrets import secrets_of
from services.base.clock import Clock
from services.base.errors import ConfigError
from services.config.connectors.base import ConnectorSection
from services.config.model import Brand, Config


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source as the configuration wants it. Two that are equal need no restart."""

    name: str
    network: str
    section: ConnectorSection
    brands: tuple[Brand, ...]

    @property
    def kind(self) -> str:
        return str(getattr(self.section, "kind", ""))


def wanted(config: Config) -> Mapping[str, Wanted]:
    """Every source of the configuration, by its name."""
    return {
        name: Wanted(name, network, section, _brands(config.brands, section.brands))
        for name, (network, section) in config.connectors.items()
    }


def build_source(one: Wanted, names: Collection[str], clock: Clock, http: AsyncClient, spend: Spend) -> Any:
    """The source, with its secrets as they are now. Raises `Refused` if it cannot be built: only people can mend that."""
    module, _, function = KINDS[one.kind].partition(":")
    try:
        secrets = secrets_of(one.name, names)
        build = getattr(import_module(module), function)
        return build(SourceContext(one.network, one.section, one.brands, secrets, clock, http, spend))
    except ConfigError as error:
        raise Refused(str(error)) from error
    except ModuleNotFoundError as error:
        raise Refused(f"{error.name or module} is not installed here: it comes with firebreak[ingest]") from error


def _brands(every: Sequence[Brand], slugs: Sequence[str]) -> tuple[Brand, ...]:
    return tuple(brand for brand in every if not slugs or brand.id in slugs)
