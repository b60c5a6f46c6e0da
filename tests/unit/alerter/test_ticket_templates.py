"""The templates of recipes: no value breaks out, nothing takes long, and what none may say is refused when it is set up."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.notify.tickets import paths, templates
from alerter.notify.tickets.recipe import NAMES, Recipe, shipped, shipped_names
from alerter.notify.tickets.templates import BadTemplate

KNOWN = frozenset({"title", "severity", "links", "values"})
VALUES: dict[str, Any] = {"title": "smoke", "severity": 2, "links": {"post": "https://a/b?c"}, "values": {"group": ""}}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("{{ title }}", "smoke"),
        ("{{ severity }}", 2),
        (" {{ severity }}", " 2"),
        ("{{ severity|string }}", "2"),
        ("{{ {1: 'urgent', 2: 'high'}[severity] }}", "high"),
        ("{{ links.post }}", "https://a/b?c"),
        ("{{ links.nope }}", None),
        ("a {{ links.nope }} b", "a  b"),
        ("{{ values.group|default(none) }}", None),
        ("{{ values.group|default('x') }}", "x"),
        ("{{ '12'|int }}", 12),
        ("{{ '1e9'|int }}", None),
        ("{{ title|cut(3) }}", "sm\u2026"),
        ("{% if severity == 2 and title %}yes{% else %}no{% endif %}", "yes"),
        ("{{ title if severity > 3 else 'mild' }}", "mild"),
        ("{{ title ~ '\n' ~ severity }}", "smoke\n2"),
        ("{{ [title, 'b'] }}", ["smoke", "b"]),
        ("{{ links }}", ""),
        ("{{ links.items }}", None),
        ("{{ title.format }}", None),
        ("{{ title['__class__'] }}", None),
        ("{% raw %}{{ title }}{% endraw %}", "{{ title }}"),
    ],
)
def test_a_template_is_filled_in(source: str, value: Any) -> None:
    templates.check(source, KNOWN)
    assert templates.value_of(source, VALUES) == value


@pytest.mark.parametrize(
    "source",
    [
        "{{ title",
        "{{ unknown }}",
        "{{ self }}",
        "{{ title.__class__ }}",
        "{{ title._x }}",
        "{{ title.upper() }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ cycler }}",
        "{{ severity * 9 }}",
        "{{ severity ** 9 }}",
        "{{ '%999999d' % 1 }}",
        "{{ title[0:1] }}",
        "{{ title|attr('x') }}",
        "{{ title|replace('', title) }}",
        "{{ title|join(title) }}",
        "{{ title|cut(1, 2) }}",
        "{{ title|cut(chars=2) }}",
        "{{ title is defined }}",
        "{% for one in title %}{% endfor %}",
        "{% set x = 1 %}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% extends 'x' %}",
        "{% call title() %}{% endcall %}",
        "{% filter upper %}x{% endfilter %}",
        "{{ " + "(" * 1900 + "1" + ")" * 1900 + " }}",
        "{{ " + "not " * 900 + "1 }}",
        "{{ title" + "|html" * 60 + " }}",
        "x" * 4001,
    ],
)
def test_what_no_template_may_say_is_refused(source: str) -> None:
    with pytest.raises(BadTemplate):
        templates.check(source, KNOWN)


@given(st.text(max_size=300))
def test_no_text_breaks_out_of_json_a_path_or_a_header(text: str) -> None:
    values = VALUES | {"title": text}
    body = json.loads(json.dumps(templates.filled({"a": ["x {{ title }}", {"b": "{{ title }}"}]}, values)))
    assert body == {"a": [f"x {text}", {"b": text}]}
    path = templates.in_path("/a/{{ title }}/b", values) if text < "\ud800" or text.isascii() else "/a//b"
    assert path.count("/") == 3
    assert not set("?#&;@ \r\n") & set(path)
    assert templates.in_header("x {{ title }}", values).isprintable()


def test_a_value_that_looks_like_a_template_is_not_one() -> None:
    assert templates.value_of("{{ title }}!", VALUES | {"title": "{{ severity }}"}) == "{{ severity }}!"


def test_the_longest_template_with_the_longest_values_takes_a_moment() -> None:
    """Each part is evaluated once: the work is a product of what is bounded, in processor time and in size."""
    long = VALUES | {"title": "&" * 20_000}
    for source in (
        "{{ title" + "|html" * 35 + " }}",
        "{{ " + " ~ ".join(["title"] * 450) + " }}",
        "{{ title }}" * 360,
        "{{ " + " ~ ".join(["title|upper|html"] * 200) + " }}",
    ):
        templates.check(source, KNOWN)
        began = time.process_time()
        assert len(templates.value_of(source, long)) <= templates.MAX_RESULT_CHARS
        assert time.process_time() - began < 5


def test_a_body_has_a_bound() -> None:
    deep: Any = "x"
    for _ in range(20):
        deep = [deep]
    for body in (deep, ["x"] * 300, {"a": "{{ nope }}"}):
        with pytest.raises(BadTemplate):
            templates.check_body(body, KNOWN)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", {"a": [{"b c": 7}], "n": None}),
        ("$.a[0]['b c']", 7),
        ("$.a[1]", None),
        ("$.n.x", None),
        ("$.a.b", None),
        ("$.missing[0].x", None),
    ],
)
def test_a_path_finds_one_place_or_nothing(path: str, value: Any) -> None:
    assert paths.at({"a": [{"b c": 7}], "n": None}, path) == value


@pytest.mark.parametrize(
    "path", ["", "a", "$..a", "$.a[*]", "$.a[?(@.b)]", "$.a[-1]", "$.a[0:2]", "$a", "$.", "$['a", "$" + ".a" * 21]
)
def test_a_path_that_could_mean_many_places_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        paths.steps(path)


@pytest.mark.parametrize(
    ("found", "text"),
    [("x", "x"), (7, "7"), (True, None), ("", None), (" a\x00b ", "a b"), ({"a": 1}, None), ("y" * 999, "y" * 200)],
)
def test_what_is_kept_of_an_answer_is_a_short_text(found: Any, text: str | None) -> None:
    assert paths.text_at({"v": found}, "$.v") == text
    assert paths.text_at({"v": 10**400}, "$.v") is None


@pytest.mark.parametrize("name", shipped_names())
def test_a_shipped_recipe_says_what_it_was_checked_against(name: str) -> None:
    recipe = shipped(name)
    assert recipe.checked
    assert recipe.close is not None
    assert recipe.id == "key" or recipe.find is not None
    assert Recipe.model_validate(recipe.model_dump(by_alias=True)) == recipe


def test_every_name_that_a_template_may_use_has_a_value() -> None:
    from alerter.notify.formats import native
    from alerter.notify.formats.notice import notice_of
    from alerter.notify.tickets import words
    from tests.unit.alerter import make

    body = native.render_test("crm", make.NOW)
    notice = notice_of(body)
    assert notice is not None
    assert set(words.values(notice, body, "s", "msg_1", {}, {})) == NAMES
