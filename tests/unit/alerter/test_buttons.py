"""Buttons and reply codes: short enough for their services, good for one incident and one endpoint, and made by nobody else."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerter.api.reply_limits import OWN_SECONDS, OWN_WRONG, STRANGE_SECONDS, STRANGE_WRONG, ReplyLimits
from alerter.notify import buttons
from alerter.notify.buttons import Button, CodeOwner, Press
from alerter.notify.links import BadLink, Expired, LinkSigner
from services.contracts.base import event_id
from tests.unit.alerter import make

SIGNER = LinkSigner("https://firebreak.example/", b"k" * 32)
OTHER = LinkSigner("https://firebreak.example/", b"o" * 32)
INCIDENT = event_id("an incident")


@pytest.mark.parametrize("button", Button)
def test_a_button_says_what_it_is_for_in_the_room_that_telegram_has(button: Button) -> None:
    data = buttons.data_of(SIGNER, button, INCIDENT, "dana-phone")
    assert len(data.encode()) <= 64
    names = ("a-phone", "dana-phone", "front")
    assert buttons.pressed(SIGNER, data, names) == Press(button, INCIDENT, "dana-phone")


@pytest.mark.parametrize("flip", range(55))
def test_a_button_that_was_changed_in_any_place_is_none_of_ours(flip: int) -> None:
    data = buttons.data_of(SIGNER, Button.TAKE, INCIDENT, "dana-phone")
    assert len(data) == 55
    changed = data[:flip] + ("A" if data[flip] != "A" else "B") + data[flip + 1 :]
    with pytest.raises(BadLink):
        buttons.pressed(SIGNER, changed, ["dana-phone"])


def test_a_button_is_good_for_its_own_endpoint_and_installation_alone() -> None:
    data = buttons.data_of(SIGNER, Button.TAKE, INCIDENT, "dana-phone")
    for signer, names in (
        (SIGNER, ["lee-phone"]),
        (SIGNER, []),
        (OTHER, ["dana-phone"]),
        (LinkSigner(None), ["dana-phone"]),
    ):
        with pytest.raises(BadLink):
            buttons.pressed(signer, data, names)


@given(st.text(max_size=80))
def test_whatever_else_is_sent_back_is_no_button(data: str) -> None:
    with pytest.raises(BadLink):
        buttons.pressed(SIGNER, data, ["dana-phone"])


def test_the_most_severe_is_never_offered_to_be_put_off() -> None:
    assert buttons.offered(1, acknowledged=False) == (Button.TAKE, Button.ESCALATE)
    assert buttons.offered(2, acknowledged=False) == (Button.TAKE, Button.SNOOZE, Button.ESCALATE)
    assert buttons.offered(1, acknowledged=True) == (Button.TAKE, Button.RESOLVE)


def test_a_link_that_acts_is_another_in_each_message_and_ends_after_a_day() -> None:
    press = Press(Button.TAKE, INCIDENT, "push")
    first, again, second = (buttons.once(SIGNER, press, number, make.NOW) for number in (3, 3, 4))
    assert first is not None
    assert first == again != second
    token = first.removeprefix("https://firebreak.example/acknowledge/once/")
    assert buttons.read_once(SIGNER, token, make.NOW + timedelta(hours=23)) == press
    with pytest.raises(Expired):
        buttons.read_once(SIGNER, token, make.NOW + timedelta(hours=25))
    with pytest.raises(BadLink):
        buttons.read_once(OTHER, token, make.NOW)
    shown = SIGNER.acknowledge(INCIDENT, "push", make.NOW)
    assert shown is not None
    with pytest.raises(BadLink):
        buttons.read_once(SIGNER, shown.rpartition("/")[2], make.NOW)
    with pytest.raises(BadLink):
        SIGNER.read(token, make.NOW)


def test_a_code_is_six_digits_for_one_incident_and_one_endpoint() -> None:
    told = [CodeOwner(event_id("incident", number), f"phone-{number % 7}") for number in range(3000)]
    codes = [buttons.code_of(SIGNER, one.incident, one.endpoint) for one in told]
    assert all(len(code) == 6 and code.isdigit() and code[0] != "0" for code in codes)
    assert len(set(codes)) > 2950, "as rarely the same as chance makes them"
    assert told[5] in buttons.coded(SIGNER, codes[5], told)
    assert buttons.coded(SIGNER, codes[5], told[6:7]) == []
    assert buttons.code_of(OTHER, told[5].incident, told[5].endpoint) != codes[5]
    for never in ("", "00", "\u0661\u0662\u0663\u0664\u0665\u0666", codes[5] + "1"):
        assert buttons.coded(SIGNER, never, told) == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_number_that_guesses_is_looked_at_no_more_and_hinders_no_other() -> None:
    clock = Clock()
    limits = ReplyLimits(clock)
    for _ in range(OWN_WRONG):
        assert limits.may("+1", known=False)
        limits.wrong("+1", known=False)
    assert not limits.may("+1", known=False)
    assert limits.may("+2", known=False)
    clock.now += OWN_SECONDS
    assert limits.may("+1", known=False)


def test_many_strange_numbers_share_their_guesses_and_leave_a_responder_theirs() -> None:
    clock = Clock()
    limits = ReplyLimits(clock)
    looked = 0
    for number in range(10_500):
        if limits.may(f"+{number}", known=False):
            looked += 1
            limits.wrong(f"+{number}", known=False)
    assert looked == STRANGE_WRONG
    assert limits.may("+dana", known=True), "who is on call is heard whatever strangers do"
    clock.now += STRANGE_SECONDS
    assert limits.may("+new", known=False)
    guesses_a_day = STRANGE_WRONG + 86400 / STRANGE_SECONDS
    assert guesses_a_day * 50 / 900_000 < 0.03, "fifty open pages, and a day of guesses"


def test_a_text_without_a_code_is_no_guess_and_is_answered_now_and_then() -> None:
    clock = Clock()
    limits = ReplyLimits(clock)
    assert [limits.may_help("+1") for _ in range(OWN_WRONG + 2)] == [True] * OWN_WRONG + [False] * 2
    assert limits.may("+1", known=False), "the code that comes then is looked at"
    assert limits.may_help("+2")
