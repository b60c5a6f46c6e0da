"""Reads the YAML of the configuration file so that every value means what it looks like, and keeps the place of each.

YAML 1.1 reads an unquoted 18:00 as the number 1080 and an unquoted `no` (Norway, Norwegian) as false; and a mapping in which a
key stands twice keeps the last value without a word. Here scalars are resolved by the core schema of YAML 1.2 (section 10.3),
and a repeated key is an error that names both lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from services.base.errors import ConfigError
from services.config import yaml_bounds

Place = tuple[str | int, ...]


class Document(NamedTuple):
    """What a file holds, and on which line each field of it stands."""

    content: Any
    lines: dict[Place, int]


_CORE: Final = (
    ("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("tag:yaml.org,2002:int", re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        "-+.0123456789",
    ),
    ("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), "~nN"),
    ("tag:yaml.org,2002:merge", re.compile(r"^(?:<<)$"), "<"),
)


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    yaml_implicit_resolvers: Final[dict[str, list[Any]]] = {}

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (
            ValueError,
            KeyError,
            AttributeError,
            OverflowError,
        ):  # PyYAML's own, for a tag that the value does not fit
            what = f"this is no {node.tag.rpartition(':')[2]}, or too long for one"
            raise yaml.constructor.ConstructorError(None, None, what, node.start_mark) from None


def _whole_number(_: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(node.value)  # 08 is eight, and no octal number


_Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, _pattern, [*_first, ""] if _tag.endswith("null") else list(_first))


def read(text: str, name: str) -> Document:
    """Returns the document in `text`. Raises `ConfigError`, with `name` and the line, where it is not YAML, a key stands
    twice, or there is too much of it (`yaml_bounds`)."""
    loader: Any = None
    try:
        yaml_bounds.check(text, _Loader)
        loader = _Loader(text)
        node: yaml.Node | None = loader.get_single_node()
        if node is None:
            return Document(None, {})
        twice = [f"{name}:{line}: {words}" for line, words in _repeated(node, (), set())]
        if twice:
            raise ConfigError("\n".join(twice))
        return Document(loader.construct_document(node), dict(_lines(node, (), set())))
    except yaml_bounds.TooMuch as error:
        raise ConfigError(f"{name}:{error.line}: {error}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"{name}:{line}: not YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: not YAML: {error}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _repeated(node: yaml.Node, place: Place, seen: set[int]) -> Iterator[tuple[int, str]]:
    """Yields the line and the words of each key that stands twice in one mapping."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        known: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in known:
                    path = ".".join(map(str, (*place, key.value)))
                    yield line, f"{path}: stands here already on line {known[key.value]}; keep one of them"
                known.setdefault(key.value, line)
            yield from _repeated(value, (*place, getattr(key, "value", "?")), seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _repeated(value, (*place, index), seen)


def _lines(node: yaml.Node, place: Place, seen: set[int]) -> Iterator[tuple[Place, int]]:
    """Yields each field with its line. A node that an alias repeats is walked once: it may even contain itself."""
    if id(node) in seen:
        return
    seen.add(id(node))
    yield place, node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _lines(value, (*place, key.value), seen)
            yield (*place, key.value), key.start_mark.line + 1
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _lines(value, (*place, index), seen)
