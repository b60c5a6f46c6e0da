"""A date and time as somebody outside sends it (RFC 3339): with a zone, and never a bare number."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

_BEGINS: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:", re.ASCII)


def _rfc3339(value: Any) -> Any:
    """Refuse numbers, quoted ones too: they would pass as dates, in a unit that nobody stated."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or _BEGINS.match(value) is None:
        raise PydanticCustomError("moment_format", "must be an RFC 3339 date and time such as 2026-05-01T12:00:00Z")
    return value


# Not strict, because a validator in Python ends the reading of JSON, and a strict date is no string any more then.
Rfc3339 = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_rfc3339)]
