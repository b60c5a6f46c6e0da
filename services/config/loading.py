"""Reads the operator's YAML file into a `Config`, and reports every mistake in it by file, line and field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from services.base.errors import ConfigError
from services.config.model import Config
from services.config.references import references
from services.config.suggestions import meant
from services.config.yaml_reading import Place, read


def load(path: Path) -> Config:
    """Returns the configuration in `path`.

    Raises `ConfigError` with every mistake found, one a line: `file:line: field: what is wrong and what would be right`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}") from error
    return parse(text, str(path))


def over(path: Path, base: Config) -> Config:
    """Returns the configuration in `path`. If it names no brands (a file of rules alone, say), its sections replace those of
    `base`. Raises `ConfigError`."""
    try:
        raw = read(path.read_text(encoding="utf-8"), str(path)).content
    except (OSError, UnicodeDecodeError):
        return load(path)  # which says what is wrong
    if not isinstance(raw, dict) or "brands" in raw:
        return load(path)
    whole = base.model_dump(mode="json", exclude_defaults=True) | raw
    return parse(yaml.safe_dump(whole, sort_keys=False), f"{path} over the present configuration")


def parse(text: str, name: str = "configuration") -> Config:
    """Like `load`, for a text."""
    raw, lines = read(text, name)
    if not isinstance(raw, dict):
        raise ConfigError(f"{name}:1: expected a mapping with `brands`, got {type(raw).__name__}")
    try:
        config = Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(say(name, lines, place, why) for place, why in mistakes_in(error))) from error
    mistakes = [say(name, lines, place, what) for place, what in references(config)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return config


def mistakes_in(error: ValidationError, within: Place = ()) -> list[tuple[Place, str]]:
    """Returns where what is wrong, and what would be right. The places are those of `Config` if the error is about the part
    of it that stands at `within`."""
    found = error.errors(include_url=False)
    # A list that lost its only item to a mistake inside is no second mistake.
    inside = {e["loc"][:depth] for e in found for depth in range(1, len(e["loc"]))}
    told = [e for e in found if e["loc"] not in inside]
    return [(_place((*within, *e["loc"])), _advice(e, within)) for e in told]


def _place(where: Place) -> Place:
    """Returns the place as it stands in the file. Pydantic puts the kind of a connector into it, which is no field."""
    in_connector = where[:1] == ("sources",) and where[2:3] == ("listen",)
    return (*where[:4], *where[5:]) if in_connector else where


def say(name: str, lines: dict[Place, int], place: Place, what: str) -> str:
    """Returns the mistake as a line that begins with the name of the text and the line in it."""
    known = place
    while known and known not in lines:
        known = known[:-1]
    return f"{name}:{lines.get(known, 1)}: {'.'.join(map(str, place))}: {what}"


def _advice(error: Any, within: Place) -> str:
    if error["type"] == "extra_forbidden":
        alike = meant((*within, *error["loc"]))
        hint = f"did you mean `{alike}`?" if alike is not None else "`firebreak doctor --schema` shows them all"
        return f"there is no such field here; {hint}"
    if error["type"] == "missing":
        return "this field is required"
    if error["type"] == "union_tag_invalid":
        return (
            f"there is no kind {error['ctx']['tag']!r}; there are {error['ctx']['expected_tags'].replace(chr(39), '')}"
        )
    if error["type"] == "union_tag_not_found":
        return "`kind` is required: it says which network's connector this is"
    return f"{error['msg']}, got {str(error['input'])[:80]!r}"
