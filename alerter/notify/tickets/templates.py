"""Templates whose time and size are bounded by what they may say, and whose values cannot break out of where they stand. Pure.

A template has names, members, conditions, a few filters and nothing else: no loop, no call, no arithmetic, no attribute of an
object. So each part of it is evaluated once, and its result is not much longer than the template and the values in it. It is
Jinja2's language, in its sandbox, and what a template may not say is refused when it is set up, not at night.

Nobody writes JSON by hand. A body is a structure whose texts are templates; it becomes JSON after they are filled in, so that
no value can end a string or add a field. In a path every value is percent-encoded, in a header it loses what is not printable.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote

from jinja2 import TemplateError, nodes
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alerter.notify.formats.lengths import cut

MAX_TEMPLATE_CHARS: Final = 4000
MAX_RESULT_CHARS: Final = 64_000
"""Of one text. What is longer is cut: our own messages have 20 kB."""
MAX_NESTED: Final = 40
"""Of a template: parts in parts, such as filters of filters."""
MAX_DEPTH: Final = 12
"""Of a body: objects in objects."""
MAX_PARTS: Final = 200
"""Of a body: texts, numbers and lists, all together."""

Values = Mapping[str, Any]

_SAYS: Final = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Filter,
    nodes.CondExpr,
    nodes.If,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Dict,
    nodes.Pair,
    nodes.List,
    nodes.Tuple,
    nodes.Concat,
)


class BadTemplate(ValueError):
    """A template says something that none may say."""


def _text(value: Any) -> str:
    """Returns a value as it stands in a text. What is no text and no number says nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or value == "" or isinstance(value, Undefined) else value


def _cut(value: Any, chars: Any = 200) -> str:
    return cut(_text(value), chars if isinstance(chars, int) and 0 < chars <= MAX_RESULT_CHARS else 200)


def _int(value: Any) -> int | None:
    text = _text(value).strip()[:18]
    return int(text) if text.isascii() and text.removeprefix("-").isdigit() else None


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "default": _default,
    "cut": _cut,
    "int": _int,
    "string": _text,
    "lower": lambda value: _text(value).lower()[:MAX_RESULT_CHARS],
    "upper": lambda value: _text(value).upper()[:MAX_RESULT_CHARS],
    "one_line": lambda value: " ".join(_text(value).split()),
    "html": lambda value: html.escape(_text(value)).replace("\n", "<br>")[:MAX_RESULT_CHARS],
}
"""`html` is for receivers that read a text as HTML: it takes the meaning of what looks like markup, and keeps line breaks."""


def _in_path(value: Any) -> str:
    return quote(_text(value), safe="")


def _in_header(value: Any) -> str:
    return "".join(char if " " <= char <= "~" else " " for char in _text(value))


class _Environment(ImmutableSandboxedEnvironment):
    """`finalize` turns each value into what stands in the text."""

    def __init__(self, finalize: Callable[[Any], str]) -> None:
        super().__init__(autoescape=False, finalize=finalize, keep_trailing_newline=True, cache_size=0)
        self.globals.clear()
        self.tests.clear()
        self.filters.clear()
        self.filters.update(FILTERS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Returns a member of a mapping, or `None`. Nothing else has members."""
        return obj.get(argument) if isinstance(obj, Mapping) and isinstance(argument, str | int) else None


_TEXT: Final = _Environment(_text)
_PATH: Final = _Environment(_in_path)
_HEADER: Final = _Environment(_in_header)


def check(source: str, known: Collection[str]) -> None:
    """Raises `BadTemplate` if the template cannot be read, says what none may say, or uses a name that is not known."""
    if len(source) > MAX_TEMPLATE_CHARS:
        raise BadTemplate(f"has more than {MAX_TEMPLATE_CHARS} characters")
    try:
        parsed = _TEXT.parse(source)
        for node in _every(parsed):
            _check_node(node, known)
        _TEXT.from_string(source)
        _expression(source)
    except BadTemplate:
        raise
    except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        raise BadTemplate(f"cannot be read: {str(error)[:200] or type(error).__name__}") from None


def _every(parsed: nodes.Node) -> Collection[nodes.Node]:
    found, left = [], [(parsed, 0)]
    while left:
        node, depth = left.pop()
        if depth > MAX_NESTED:
            raise BadTemplate(f"has parts in parts, more than {MAX_NESTED} deep")
        found.append(node)
        left.extend((inner, depth + 1) for inner in node.iter_child_nodes())
    return found


def _check_node(node: nodes.Node, known: Collection[str]) -> None:
    if not isinstance(node, _SAYS):
        raise BadTemplate(f"may not say {type(node).__name__.lower()}: names, members, conditions and filters are all")
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name not in known):
        raise BadTemplate(f"there is no {cut(node.name, 40)}; there are {', '.join(sorted(known))}")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise BadTemplate(f"{cut(node.attr, 40)} is private")
    if isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            raise BadTemplate(f"there is no filter {cut(node.name, 40)}; there are {', '.join(sorted(FILTERS))}")
        if node.kwargs or node.dyn_args or node.dyn_kwargs or len(node.args) > 1 or node.node is None:
            raise BadTemplate(f"the filter {node.name} takes one value, and at most one more")


def in_path(source: str, values: Values) -> str:
    """Returns the template filled in as a part of a URL: no value adds a segment, a query or a host."""
    return str(_made(_PATH, source).render(values))


def in_header(source: str, values: Values) -> str:
    return str(_made(_HEADER, source).render(values)).strip()[:4000]


def value_of(source: str, values: Values) -> Any:
    """Returns the template filled in as a value of JSON. What is one expression and nothing else keeps its type."""
    expression = _expression(source)
    if expression is None:
        return str(_made(_TEXT, source).render(values))[:MAX_RESULT_CHARS]
    found = expression(**values)
    if found is None or isinstance(found, bool | int | float):
        return found
    if isinstance(found, list | tuple):
        return [_text(one)[:MAX_RESULT_CHARS] for one in found]
    return _text(found)[:MAX_RESULT_CHARS]


def filled(body: Any, values: Values) -> Any:
    """Returns a body with its texts filled in. A field whose value is `None` is left out."""
    if isinstance(body, str):
        return value_of(body, values)
    if isinstance(body, Mapping):
        found = {key: filled(inner, values) for key, inner in body.items()}
        return {key: inner for key, inner in found.items() if inner is not None}
    if isinstance(body, list | tuple):
        return [one for one in (filled(inner, values) for inner in body) if one is not None]
    return body


def check_body(body: Any, known: Collection[str]) -> None:
    """Raises `BadTemplate` if a body is too large, or one of its texts is no template."""
    count, left = 0, [(body, 0)]
    while left:
        one, depth = left.pop()
        count += 1
        if count > MAX_PARTS or depth > MAX_DEPTH:
            raise BadTemplate(f"a body has at most {MAX_PARTS} parts, {MAX_DEPTH} deep")
        if isinstance(one, str):
            check(one, known)
        elif isinstance(one, Mapping):
            left.extend((inner, depth + 1) for inner in one.values())
        elif isinstance(one, list | tuple):
            left.extend((inner, depth + 1) for inner in one)


@lru_cache(maxsize=2048)
def _made(environment: _Environment, source: str) -> Any:
    return environment.from_string(source)


@lru_cache(maxsize=2048)
def _expression(source: str) -> Callable[..., Any] | None:
    """Returns the template as an expression, if it is one and nothing else."""
    parsed = _TEXT.parse(source)
    if len(parsed.body) != 1 or not isinstance(parsed.body[0], nodes.Output):
        return None
    inner = parsed.body[0].nodes
    if len(inner) != 1 or isinstance(inner[0], nodes.TemplateData):
        return None
    made: Callable[..., Any] = _TEXT.compile_expression(
        source.strip().removeprefix("{{").removesuffix("}}").strip("-+ ")
    )
    return made
