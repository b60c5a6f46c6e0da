"""Which of a person's methods are used: none that they switched off, and, where the configuration asks for that, the confirmed
ones before all others. Pure.

A method that the file names counts whether or not anybody confirmed it, because the operator stands for it. With
`only_confirmed_methods` those that nobody confirmed do not count. Somebody without any that counts is told by the others all
the same: a rota must not fall silent because of a missing code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.config.rota import Responder

Way = tuple[str, str]
"""A responder and one of their methods."""


class Proof(StrEnum):
    """By what a person showed that messages by a method reach them."""

    CODE = "code"
    """They entered the code that was sent there."""
    DRILL = "drill"
    """They confirmed a drill's test page that was sent there."""
    ACKNOWLEDGEMENT = "acknowledgement"
    """They acknowledged an incident by the link that was sent there."""


@dataclass(frozen=True, slots=True)
class MethodStates:
    """What is known of the methods of all people."""

    off: frozenset[Way] = frozenset()
    confirmed: frozenset[Way] = frozenset()
    """Only read where it matters: with `only_confirmed`."""
    only_confirmed: bool = False

    def is_on(self, responder: str, method: str) -> bool:
        return (responder, method) not in self.off

    def methods(self, responder: Responder) -> tuple[str, ...]:
        """Returns the methods that the person has not switched off, in their order."""
        return tuple(one for one in responder.methods if self.is_on(responder.id, one))

    def unconfirmed(self, responder: Responder) -> frozenset[str]:
        """Returns the methods that do not count, because nobody confirmed them."""
        if not self.only_confirmed:
            return frozenset()
        return frozenset(one for one in responder.methods if (responder.id, one) not in self.confirmed)


ALL_ON = MethodStates()
