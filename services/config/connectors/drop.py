"""What is said of a folder into which a vendor or a job of your own puts files with posts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.config.connectors.base import ConnectorSection
from services.config.connectors.mapped import Mapping
from services.config.section import Words


class DropSection(ConnectorSection):
    """Reads files of NDJSON or CSV as they appear and grow. Nothing is secret, and nothing is moved or deleted."""

    kind: Literal["drop"]
    folder: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="where the files appear; every process that runs ingest must see it under this path"
    )
    files: Words = Field(
        "*.ndjson", description="which of them are read, such as `*.csv`; those with a leading dot never are"
    )
    format: Literal["ndjson", "csv"] = "ndjson"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = Field(
        ",", description="between the columns of a CSV file"
    )
    mapping: Mapping = Field(
        Mapping(), description="columns or fields of the files, where they are not those of `POST /v1/posts`"
    )
    every_seconds: Annotated[float, Field(ge=0.1, le=86_400)] = Field(
        5, description="how often the folder is looked at"
    )
    settled_seconds: Annotated[float, Field(ge=0, le=86_400)] = Field(
        30,
        description="a last line without its end is waited for; when the file has not grown for so long, it is taken as it is",
    )
