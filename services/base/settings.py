"""What an operator may set by the environment (`FIREBREAK_...`), each with its unit and meaning. Secrets only here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="FIREBREAK_", frozen=True, extra="ignore")

    config: Path = Field(Path("firebreak.yaml"), description="the operator's YAML file")
    data: Path = Field(Path("var"), description="directory of the embedded log and database")
    log: Literal["sqlite", "kafka"] = Field("sqlite", description="which event log")
    kafka_bootstrap: str = Field("localhost:9092", description="host:port[,host:port...] of the brokers")
    kafka_replication: Annotated[int, Field(ge=1, le=5)] = Field(1, description="replicas of topics that we create")
    kafka_prefix: str = Field("", description="stands before every topic, group and transaction name (shared clusters)")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how the brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "PLAIN", description="how we prove who we are, with a SASL protocol"
    )
    kafka_sasl_user: str | None = Field(None, description="user name for SASL")
    kafka_sasl_password: SecretStr | None = Field(None, description="its password")
    kafka_ca_file: Path | None = Field(None, description="PEM file that signs the brokers' certificates")
    partitions: Annotated[int, Field(ge=1, le=1024)] = Field(6, description="partitions of topics that we create")
    instance: str | None = Field(None, description="stable unique name of this process (a StatefulSet's ordinal)")

    host: str = Field("127.0.0.1", description="address that the HTTP server binds")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8080, description="its port; 0 takes a free one")
    database: str | None = Field(None, description="SQLAlchemy URL of the alerter; default: SQLite in `data`")
    public_url: str | None = Field(None, description="where people reach this installation; used in links")

    api_keys: SecretStr = Field(
        SecretStr(""), description="comma-separated name:key for posting; a key has at least 16 characters"
    )
    admin_key: SecretStr | None = Field(None, description="key of the alerter's API; without one it stays closed")
    egress_allow: str = Field("", description="comma-separated CIDR blocks that webhooks may reach besides public ones")

    keep_deliveries_days: Annotated[float, Field(gt=0)] = Field(
        30, description="deliveries, with bodies and answers, after their end"
    )
    keep_incidents_days: Annotated[float, Field(gt=0)] = Field(400, description="incidents after their end")

    max_body_bytes: Annotated[int, Field(ge=1024)] = Field(5_000_000, description="of one request")
    max_batch_posts: Annotated[int, Field(ge=1)] = Field(1000, description="posts in one request")
    max_text_chars: Annotated[int, Field(ge=1)] = Field(20_000, description="of one post")
    key_posts_per_second: Annotated[float, Field(gt=0)] = Field(2000, description="token bucket of each key: refill")
    key_posts_burst: Annotated[float, Field(gt=0)] = Field(10_000, description="token bucket of each key: size")
    shed_above_lag: Annotated[int, Field(ge=1)] = Field(200_000, description="records the scorer may be behind")
    append_timeout_seconds: Annotated[float, Field(gt=0)] = Field(5, description="then ingest answers 503")
    max_requests_in_flight: Annotated[int, Field(ge=1)] = Field(
        256, description="posting requests served at once; then 503"
    )
    max_bytes_in_flight: Annotated[int, Field(ge=1024)] = Field(
        64_000_000, description="of bodies held at once; then 503"
    )
    body_timeout_seconds: Annotated[float, Field(gt=0)] = Field(30, description="a body that takes longer gets 408")

    sentiment: str = Field(
        "shipped", description="shipped, lexicon (the degraded mode), a directory, or a Hugging Face hub id"
    )
    batch_records: Annotated[int, Field(ge=1, le=10_000)] = Field(
        2000, description="records of one transaction, at most"
    )
    horizon_hours: Annotated[float, Field(gt=0)] = Field(72, description="how far ahead a forecast looks")
    expire_hours: Annotated[float, Field(gt=0)] = Field(96, description="a silent conversation is forgotten after this")
    dead_letters_per_minute: Annotated[int, Field(ge=1)] = Field(1000, description="a flood beyond stops the scorer")
    stop_seconds: Annotated[float, Field(gt=0)] = Field(20, description="deadline of an orderly stop")
    retention: bool = Field(True, description="delete records older than their topic keeps them (embedded log)")

    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least severe lines to log")
    clock_begin: float | None = Field(None, description="epoch seconds at which a scaled clock starts (drills)")
    clock_origin: float | None = Field(None, description="wall epoch seconds at which it started")
    clock_speed: Annotated[float, Field(gt=0)] = Field(1, description="story seconds a second, with clock_begin")
