"""What is said of a topic of Kafka in which somebody else's posts stand."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.connectors.base import ConnectorSection
from services.config.connectors.mapped import Mapping


class TopicInSection(ConnectorSection):
    """Reads a topic with JSON. Secrets: `USER` and `PASSWORD`, where the cluster asks for them."""

    kind: Literal["kafka"]
    bootstrap: Annotated[str, StringConstraints(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$", max_length=1000)] = Field(
        description="host:port[,host:port...] of the brokers"
    )
    topic: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    begin: Literal["earliest", "latest"] = Field("latest", description="where reading begins the first time")
    mapping: Mapping = Field(
        Mapping(), description="fields of the records, where they are not those of `POST /v1/posts`"
    )
