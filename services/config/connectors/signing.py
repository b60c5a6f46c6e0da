"""How the sender of a webhook proves who it is, as the operator states it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from services.config.section import Section

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
Tolerance = Annotated[float, Field(ge=60, le=7 * 24 * 3600)]


class Algorithm(StrEnum):
    """The hash under the signature. SHA-1 is there because old systems sign with it; as an HMAC it is not broken."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"


class Encoding(StrEnum):
    """How the bytes of a signature are written."""

    HEX = "hex"
    BASE64 = "base64"


class BearerToken(Section):
    """The secret itself comes with each call: as `Authorization: Bearer`, or in a header of its own. Secret: `TOKEN`."""

    scheme: Literal["bearer"]
    header: HeaderName = "authorization"


class HmacHeader(Section):
    """A header holds an HMAC of the body, or of the time and the body. Secret: `SECRET`."""

    scheme: Literal["hmac"]
    header: HeaderName = Field(examples=["X-Hub-Signature-256"])
    algorithm: Algorithm = Algorithm.SHA256
    encoding: Encoding = Encoding.HEX
    prefix: Annotated[str, StringConstraints(max_length=50)] = Field("", examples=["sha256="])
    time_header: HeaderName | None = Field(
        None, description="a header with the time of signing, which is signed before the body; older calls are refused"
    )
    between: Annotated[str, StringConstraints(max_length=5)] = Field(
        ".", description="what stands between the time and the body in what is signed"
    )
    tolerance_seconds: Tolerance = 300


class StandardSigned(Section):
    """Standard Webhooks 1.0. Secret: `SECRET`, as `whsec_...`."""

    scheme: Literal["standard_webhooks"]
    tolerance_seconds: Tolerance = 300


Signing = Annotated[BearerToken | HmacHeader | StandardSigned, Field(discriminator="scheme")]
