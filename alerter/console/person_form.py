"""A person as the fields of a form, and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.config.rota import Urgency

PLAIN: Final = ("id", "name", "digest", "zone")
"""The fields that a form holds as they are; one that is left empty is left out."""
WORDS: Final = ("methods", "known_as")
"""The fields of which a form holds several in one line."""


def fields_of(document: Mapping[str, Any]) -> dict[str, str]:
    """Returns what the form shows: methods in one line, notification rules one a line, such as `3 dana-sms`."""
    found = {name: str(document.get(name) or "") for name in PLAIN}
    found |= {name: ", ".join(document.get(name) or ()) for name in WORDS}
    rules = document.get("notify") or {}
    for urgency in Urgency:
        of = rules.get(urgency.value) or ()
        found[urgency.value] = "\n".join(f"{rule.get('after_minutes', 0):g} {rule['method']}" for rule in of)
    return found


def document_in(form: Mapping[str, str]) -> dict[str, Any]:
    """Returns the person that the form describes. What cannot be one is left to the checks that come after."""
    document: dict[str, Any] = {name: text for name in PLAIN if (text := form.get(name, "").strip())}
    document["methods"] = _words(form.get("methods", ""))
    if known_as := _words(form.get("known_as", "")):
        document["known_as"] = known_as
    rules = {urgency.value: _rules(form.get(urgency.value, "")) for urgency in Urgency}
    if any(rules.values()):
        document["notify"] = {name: of for name, of in rules.items() if of}
    return document


def _words(text: str) -> list[str]:
    return text.replace(",", " ").split()


def _rules(text: str) -> list[dict[str, Any]]:
    found = []
    for line in text.splitlines():
        minutes, _, method = line.strip().partition(" ")
        if minutes:
            found.append({"after_minutes": _number(minutes), "method": method.strip()})
    return found


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
