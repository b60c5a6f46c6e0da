"""How a person is paged: by rules of their own, with the methods that work, and somebody is told at once in any case."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from alerter.escalation.rings import arrange
from alerter.oncall.responders import Contact
from services.base.errors import ConfigError
from services.config.loading import parse
from services.config.rota import NotificationRules, Urgency

DOC = Path(__file__).parents[3] / "docs" / "notification-rules.md"
METHODS = ("push", "sms", "call", "mail")
RULES = [("push", 0), ("sms", 3), ("call", 6)]


def rules(*pairs: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"method": method, "after_minutes": minutes} for method, minutes in pairs]


def arranged(*pairs: tuple[str, float], usable: tuple[str, ...] = METHODS, is_rung: bool = False) -> Any:
    """The methods of each recipient, what follows, and what is tried at last."""
    notify = NotificationRules.model_validate({"urgent": rules(*pairs)})
    contact = Contact("responder:dana", "Dana", METHODS, "mail", "dana", notify)
    made = arrange(contact, usable, Urgency.URGENT, False, is_rung)
    later = [(rule.method, rule.after_minutes) for one in made for rule in one.later]
    return [one.methods for one in made], later, [one.spare for one in made if one.spare]


def test_the_first_rule_comes_at_once_and_the_others_follow() -> None:
    assert arranged(*RULES) == ([("push",)], [("sms", 3), ("call", 6)], [("mail",)])


def test_without_rules_the_methods_are_tried_in_their_order() -> None:
    assert arranged() == ([METHODS], [], [])


def test_whoever_has_no_usable_method_is_nobody() -> None:
    assert arranged(*RULES, usable=()) == ([], [], [])


def test_a_first_method_that_does_not_work_lets_the_next_come_at_once() -> None:
    assert arranged(*RULES, usable=("sms", "call")) == ([("sms",)], [("call", 6)], [])


def test_rules_whose_methods_are_all_gone_leave_the_other_methods() -> None:
    assert arranged(*RULES, usable=("mail",)) == ([("mail",)], [], [])


def test_what_no_rule_names_is_tried_after_the_last_message() -> None:
    assert arranged(("push", 0), ("sms", 0)) == ([("push",), ("sms", "call", "mail")], [], [])


def test_who_is_rung_already_gets_only_what_comes_at_once() -> None:
    assert arranged(*RULES, is_rung=True) == ([("push",)], [], [("mail",)])


def test_a_method_that_stands_twice_at_once_is_used_once() -> None:
    assert arranged(("push", 0), ("push", 0), ("push", 5))[:2] == ([("push",)], [("push", 5)])


def configured(notify: Any, **more: Any) -> Any:
    responder = {"id": "dana", "methods": ["push", "sms"], "notify": notify}
    return parse(str({"brands": [{"id": "acme", "name": "Acme"}], "responders": [responder], **more}))


@pytest.mark.parametrize(
    ("notify", "why"),
    [
        ({"urgent": rules(("push", 1))}, "must be at 0"),
        ({"calm": rules(("push", 0), ("sms", 5), ("push", 4))}, "must not go back"),
        ({"urgent": rules(("mail", 0))}, "names 'mail', which is none of `methods`: push, sms"),
        ({"urgent": rules(("push", -1))}, "after_minutes"),
        ({"urgent": rules(*[("push", 0)] * 21)}, "urgent"),
        ({"urgnt": rules(("push", 0))}, "did you mean `urgent`?"),
    ],
)
def test_a_mistake_in_the_rules_is_found_when_the_file_is_read(notify: Any, why: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(why)):
        configured(notify)


def test_the_severity_from_which_an_incident_is_urgent_is_the_house_s_to_say() -> None:
    plain = configured({})
    assert [plain.urgency(severity) for severity in (1, 2, 3, 4)] == [*[Urgency.URGENT] * 2, *[Urgency.CALM] * 2]
    strict = configured({}, urgent_severity=1)
    assert strict.urgency(2) is Urgency.CALM


def test_the_example_of_the_document_is_a_right_one() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", DOC.read_text(), re.DOTALL)
    (rosa,) = parse("brands: [{id: acme, name: Acme}]\n" + block).responders
    assert [rule.method for rule in rosa.notify.of(Urgency.URGENT)] == ["rosa-push", "rosa-sms", "rosa-call"]
