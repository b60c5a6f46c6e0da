"""What webhooks carry, as one JSON Schema (draft 2020-12), for receivers that check or generate code from it.

python -m alerter.api.webhook_schema > docs/webhooks/schema.json
"""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from alerter.api.answers import OverdueMessage
from alerter.api.contact_methods import CodeMessage
from alerter.api.drills import DrillMessage
from alerter.api.schemas import (
    ConfigMessage,
    EditMessage,
    EndpointMessage,
    IncidentMessage,
    LogMessage,
    RedactionMessage,
)

MESSAGES: Final[tuple[type[BaseModel], ...]] = (
    IncidentMessage,
    EditMessage,
    RedactionMessage,
    EndpointMessage,
    OverdueMessage,
    DrillMessage,
    CodeMessage,
    ConfigMessage,
    LogMessage,
)


def webhook_schema() -> dict[str, Any]:
    """Any of the messages; which, its `type` says."""
    names, found = models_json_schema(
        [(model, "serialization") for model in MESSAGES],
        title="Firebreak webhook",
        description="The body of a message; see README.md beside it for how to verify one.",
    )
    any_of = [names[model, "serialization"] for model in MESSAGES]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "anyOf": any_of, **found}


if __name__ == "__main__":
    print(json.dumps(webhook_schema(), indent=1))
