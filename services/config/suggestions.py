"""Which field of the configuration somebody meant who wrote another one."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import AliasChoices, BaseModel

from services.config.model import Config


def meant(place: tuple[str | int, ...]) -> str | None:
    """Returns the field that stands at this place and is spelled most like the last part of it, if one is alike."""
    *above, wrong = place
    section: type[BaseModel] = Config
    kinds: list[type[BaseModel]] = []
    for part in above:
        if isinstance(part, str):
            field = section.model_fields.get(part)
            if field is not None:
                kinds = list(_sections(field.annotation))
            else:  # where sections of several kinds may stand, pydantic names the one that it tried
                kinds = [one for one in kinds if "kind" in one.model_fields and part in _kinds_of(one)]
            if not kinds:
                return None
            section = kinds[0]
    close = get_close_matches(str(wrong), _names(section), n=1, cutoff=0.6)
    return close[0] if close else None


def _names(section: type[BaseModel]) -> list[str]:
    names = []
    for name, field in section.model_fields.items():
        names.append(name)
        if isinstance(field.validation_alias, AliasChoices):
            names += [alias for alias in field.validation_alias.choices if isinstance(alias, str)]
    return names


def _kinds_of(section: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(section.model_fields["kind"].annotation)


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the sections in a type such as `tuple[Rule, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)
