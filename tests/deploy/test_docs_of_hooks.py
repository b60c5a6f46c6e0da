"""What the pages about connectors that are called show is taken: by the configuration, and by the connectors themselves."""

from __future__ import annotations

import importlib
import re
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from httpx2 import AsyncClient

from ingest.sources.base import SourceContext
from ingest.sources.kinds import KINDS
from services.base.clock import ManualClock
from services.base.errors import ConfigError
from services.config.connectors.called import CalledSection
from services.config.loading import parse
from services.config.model import Config
from tests.unit.ingest.sources.calls import FreePurse
from tests.unit.ingest.sources.test_webhooks import WHSEC

DOCS = Path(__file__).parents[2] / "docs/sources"
PAGES = ("meta", "tiktok", "helpdesks", "webhooks")


def shown(page: str) -> tuple[str, Config]:
    """The text of a page, and the configuration that it shows."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    ((_, block),) = re.findall(r"^( *)```yaml\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return text, parse(textwrap.dedent(block), f"{page}.md")


def built(config: Config, name: str, secrets: dict[str, str]) -> Any:
    network, section = config.connectors[name]
    module, _, function = KINDS[getattr(section, "kind", "")].partition(":")
    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
    context = SourceContext(network, section, config.brands, secrets, clock, AsyncClient(), FreePurse())
    return getattr(importlib.import_module(module), function)(context)


@pytest.mark.parametrize("page", PAGES)
def test_the_connectors_that_are_shown_are_taken_and_their_secrets_are_named(page: str) -> None:
    text, config = shown(page)
    assert config.connectors
    for name, (_, section) in config.connectors.items():
        assert isinstance(section, CalledSection)
        with pytest.raises(ConfigError) as missing:
            built(config, name, {})
        variable = str(missing.value).split()[0]
        assert variable.startswith("FIREBREAK_SOURCE_")
        secret = variable.rpartition("_")[2]
        assert secret in text, variable
        some = dict.fromkeys(
            ("app_secret", "verify_token", "client_secret", "signing_secret", "token", "secret"), WHSEC
        )
        assert built(config, name, some).silence_seconds == section.silence_seconds
        assert f"/v1/sources/{name}" in text or "/v1/sources/NAME" in text or page == "meta"


def test_every_connector_that_is_called_has_a_page() -> None:
    sections = {getattr(section, "kind", "") for page in PAGES for _, section in shown(page)[1].connectors.values()}
    called = {"chatwoot", "cloudevents", "meta", "standard_webhooks", "tiktok", "webhook", "zendesk"}
    assert sections == called
    assert called <= KINDS.keys()
