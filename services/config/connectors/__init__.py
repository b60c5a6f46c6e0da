"""What may stand under `sources: listen:`, one section for each kind of connector: a file beside this one, and a line below."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.config.connectors.drop import DropSection
from services.config.connectors.topic_in import TopicInSection
from services.config.connectors.x import XActivitySection, XSection

# fmt: off
Connector = Annotated[
    DropSection
    | TopicInSection
    | XActivitySection
    | XSection,
    Field(discriminator="kind"),
]
# fmt: on
"""One line a kind, in the order of the alphabet."""
