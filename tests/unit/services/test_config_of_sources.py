"""Connectors stand in the operator's file: each kind has its fields, and mistakes are told with their line."""

from __future__ import annotations

import pytest

from services.base.errors import ConfigError
from services.config.loading import parse

FILE = """\
brands:
  - {id: acme, name: Acme Air}
sources:
  - network: x
    listen:
      - {kind: drop, name: vendor, folder: /data/in}
  - network: reviews
    listen:
      - kind: kafka
        name: reviews
        bootstrap: localhost:9092
        topic: reviews
        brands: [acme]
        spending: {day_dollars: 5}
"""


def test_each_connector_has_a_name_a_network_and_the_fields_of_its_kind() -> None:
    connectors = parse(FILE).connectors
    assert {name: network for name, (network, _) in connectors.items()} == {"vendor": "x", "reviews": "reviews"}
    assert connectors["reviews"][1].spending.day_dollars == 5


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("kind: drop", "kind: dorp", 6, ["sources.0.listen.0", "'dorp'", "drop, kafka"]),
        ("kind: drop, ", "", 6, ["sources.0.listen.0", "`kind` is required"]),
        ("folder: /data/in", "foldr: /data/in", 6, ["sources.0.listen.0.foldr", "`folder`"]),
        ("topic: reviews", "topik: reviews", 12, ["sources.1.listen.0.topik", "`topic`"]),
        ("brands: [acme]", "brands: [acne]", 13, ["sources.1.listen.0.brands.0", "'acne'", "acme"]),
        ("folder: /data/in", "folder: /in, mapping: {fields: {text: 'a['}}", 6, ["mapping.fields.text", "JMESPath"]),
        ("folder: /data/in", "folder: /in, mapping: {fields: {txt: a}}", 6, ["mapping.fields.txt"]),
        ("name: vendor", "name: reviews", 6, ["sources.0.listen.0.name", "sources.1.listen.0 too"]),
        ("name: vendor", "name: reviews", 10, ["sources.1.listen.0.name", "sources.0.listen.0 too"]),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(
    old: str, new: str, line: int, words: list[str]
) -> None:
    assert old in FILE
    with pytest.raises(ConfigError) as caught:
        parse(FILE.replace(old, new, 1), "my.yaml")
    said = str(caught.value)
    assert f"my.yaml:{line}:" in said, said
    assert all(word in said for word in words), said
