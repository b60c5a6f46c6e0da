"""Which of a person's methods are used: not what they switched off, and the confirmed ones first where that is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.oncall.method_states import MethodStates
from alerter.oncall.reach import DryRun, Finding, Reachable
from alerter.oncall.responders import Contact, Directory
from alerter.oncall.roster import Roster
from tests.unit.alerter import make
from tests.unit.alerter.make import NOW

DANA: dict[str, Any] = {"id": "dana", "name": "Dana Ito", "methods": ["push", "sms", "call"], "digest": "mail"}
LEE: dict[str, Any] = {"id": "lee", "methods": ["push"]}
CONFIG = make.config(responders=[DANA, LEE])


def dana(states: MethodStates, config: Any = CONFIG) -> Contact:
    found = Directory(config, states=states).find("responder:dana", None, NOW)
    assert isinstance(found, Contact)
    return found


def test_what_one_person_switched_off_stays_on_for_another_who_shares_it() -> None:
    states = MethodStates(off=frozenset({("dana", "push")}))
    assert dana(states).methods == ("sms", "call")
    lee = Directory(CONFIG, states=states).person("lee")
    assert lee is not None
    assert lee.methods == ("push",)


@pytest.mark.parametrize(("off", "digest"), [((), "mail"), (("mail",), "push"), (("mail", "push"), "sms")])
def test_the_digest_goes_where_it_is_not_switched_off(off: tuple[str, ...], digest: str) -> None:
    assert dana(MethodStates(off=frozenset(("dana", one) for one in off))).digest == digest


def test_a_person_without_any_method_that_is_on_has_none() -> None:
    contact = dana(MethodStates(off=frozenset(("dana", one) for one in ("push", "sms", "call", "mail"))))
    assert (contact.methods, contact.digest) == ((), "")


@given(
    st.sets(st.sampled_from(["push", "sms", "call"])),
    st.sets(st.sampled_from(["push", "sms", "call"])),
    st.sets(st.sampled_from(["push", "sms", "call"])),
    st.booleans(),
)
def test_whoever_has_a_method_that_works_and_is_on_is_never_silent(
    off: set[str], confirmed: set[str], working: set[str], only: bool
) -> None:
    states = MethodStates(
        frozenset(("dana", one) for one in off), frozenset(("dana", one) for one in confirmed), only_confirmed=only
    )
    contact = dana(states)
    usable = tuple(one for one in contact.methods if one in working)
    used = contact.counting(usable)
    assert bool(used) == bool(working - off)
    assert not set(used) & off
    if only and (sure := (working - off) & confirmed):
        assert set(used) == sure
    else:
        assert used == usable


def test_the_dry_run_knows_what_is_switched_off() -> None:
    policy = {"id": "default", "steps": [{"targets": ["responder:dana"]}]}
    config = make.config(responders=[DANA, LEE], policies=[policy])
    there = {"push": Reachable(), "sms": Reachable(works=False)}
    assert list(DryRun(config, Roster(now=NOW), there, NOW).findings()) == []
    assert list(DryRun(config, Roster(now=NOW), there, NOW, off={("lee", "push")}).findings()) == []
    words = (
        "step 1 of default reaches nobody: dana cannot be reached (push is switched off, sms is disabled or only fails, "
        "call does not exist)"
    )
    assert list(DryRun(config, Roster(now=NOW), there, NOW, off={("dana", "push")}).findings()) == [
        Finding(words, True)
    ]
