"""What an operator may set through the environment (`FIREBREAK_...`), each with its unit and meaning.

Secrets are set here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FIREBREAK_", frozen=True, extra="ignore")

    config: Path = Field(Path("firebreak.yaml"), description="the operator's YAML file")
    data: Path = Field(Path("var"), description="directory of the embedded log and database")
    log: Literal["sqlite", "kafka"] = Field(
        "sqlite", description="where events are kept: an embedded SQLite file, or Kafka"
    )
    kafka_bootstrap: str = Field("localhost:9092", description="host:port[,host:port...] of the brokers")
    kafka_replication: Annotated[int, Field(ge=1, le=5)] = Field(1, description="replicas of topics that we create")
    kafka_prefix: str = Field(
        "", description="put before the names of topics, groups and transactions, for a cluster that is shared"
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="protocol towards the brokers"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how to authenticate, with a SASL protocol"
    )
    kafka_sasl_user: str | None = Field(None, description="user name for SASL")
    kafka_sasl_password: SecretStr | None = Field(None, description="password for SASL")
    kafka_ca_file: Path | None = Field(None, description="PEM file of the CA that signed the brokers' certificates")
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(6, description="partitions of topics that we create")
    instance: str | None = Field(
        None, description="stable, unique name of this process (such as a StatefulSet's pod name)"
    )

    host: str = Field("127.0.0.1", description="address that the HTTP server binds")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="port of the HTTP server; 0 picks a free one")
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="port of its own for /metrics, which the other port then does not serve; 0 picks a free one"
    )
    metrics_token: Annotated[SecretStr, Field(min_length=16)] | None = Field(
        None, description="bearer token that /metrics asks for, at least 16 characters; without one it is open"
    )
    metrics_brands: bool = Field(
        True, description="false: no metric has a brand as a label, and its series are added up over all brands"
    )
    database: str | None = Field(None, description="SQLAlchemy URL of the alerter; default: SQLite in `data`")
    public_url: str | None = Field(None, description="where people reach this installation; used in links")

    api_keys: SecretStr = Field(
        SecretStr(""), description="comma-separated name:key for posting; a key has at least 16 characters"
    )
    admin_key: SecretStr | None = Field(
        None, description="key of the alerter's API, 20 characters at least; the API is closed without one"
    )
    secret_keys: SecretStr | None = Field(
        None,
        description="comma-separated keys, the newest first, that encrypt the URLs and secrets of endpoints in the "
        "database; each 32 bytes in base64 (openssl rand -base64 32)",
    )
    egress_allow: str = Field(
        "", description="comma-separated CIDR blocks that webhooks and sources may reach besides public ones"
    )

    keep_deliveries_days: Annotated[float, Field(gt=0)] = Field(
        30, description="how long finished deliveries are kept, with their bodies and answers"
    )
    keep_incidents_days: Annotated[float, Field(gt=0)] = Field(400, description="how long closed incidents are kept")

    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(5_000_000, description="largest body of a request")
    max_batch_posts: Annotated[int, Field(ge=1)] = Field(1000, description="most posts in a request")
    max_text_chars: Annotated[int, Field(ge=1)] = Field(
        20_000, description="longest text of a post; a longer one is refused"
    )
    key_posts_per_second: Annotated[float, Field(gt=0)] = Field(
        2000,
        description="posts a second that each key may send (token bucket: refill); 1000 bytes count as a post at least",
    )
    key_posts_burst: Annotated[float, Field(gt=0)] = Field(
        10_000, description="posts that each key may send at once (token bucket: size)"
    )
    shed_above_lag: Annotated[int, Field(ge=1)] = Field(
        200_000, description="ingest answers 503 while the scorer is further behind, in records"
    )
    append_timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        5, description="ingest answers 503 when an append takes longer"
    )
    max_requests_in_flight: Annotated[int, Field(ge=1)] = Field(
        256, description="posting requests served at once; further ones get 503"
    )
    max_bytes_in_flight: Annotated[int, Field(ge=1024)] = Field(
        64_000_000, description="bytes of bodies held at once; further requests get 503"
    )
    body_timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        30, description="a request to any route whose body takes longer to arrive gets 408"
    )

    head_timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        10, description="a connection whose request line and headers take longer to arrive is closed"
    )
    max_connections: Annotated[int, Field(ge=1)] = Field(
        1000, description="open connections of the HTTP server; beyond, the one that waits longest is closed"
    )

    sentiment: str = Field(
        "shipped", description="shipped, lexicon (the degraded mode), a directory, or a Hugging Face hub id"
    )
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = Field(
        2000, description="most records in one transaction of the scorer"
    )
    horizon_hours: Annotated[float, Field(gt=0)] = Field(72, description="how far ahead a forecast looks")
    expire_hours: Annotated[float, Field(gt=0)] = Field(
        96, description="a conversation without events for so long is forgotten"
    )
    dead_letters_per_minute: Annotated[int, Field(ge=1)] = Field(
        1000, description="more dead letters in a minute stop the service: then something else is wrong"
    )
    stop_seconds: Annotated[float, Field(gt=0)] = Field(
        20, description="time for an orderly stop; then the process ends at once"
    )
    retention: bool = Field(True, description="delete records older than their topic keeps them (embedded log)")
    keep_texts_hours: Annotated[float, Field(ge=1)] | None = Field(
        None, description="how long topics with the texts of posts are kept, at most; without it 7 to 30 days"
    )

    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least severe lines to log")
    clock_begin: float | None = Field(None, description="epoch seconds at which a scaled clock starts (drills)")
    clock_origin: float | None = Field(None, description="real epoch seconds at which the scaled clock started")
    clock_speed: Annotated[float, Field(gt=0)] = Field(
        1, description="how many times as fast as real time the scaled clock runs"
    )
