"""How much the forecaster is to be believed on each network: what the lane's own stories taught it (`virality.recalibration`).

A story teaches once: when it crosses its brand's line, or when its time is over. One that the brand answered teaches nothing,
because alarms that were heeded would look false, and the next ones would be believed less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from scorer.virality.cascade import Cascade
from scorer.virality.forecast import Prediction, has_crossed, more_until
from scorer.virality.recalibration import Claim, Recalibration, claim_of, growth_to
from services.contracts.signal import Line
from services.stream.state import KeyedState

STATE_VERSION: Final = 1


class Recalibrations:
    """By network, in the lane's state. Every lane learns from the conversations it sees."""

    def __init__(self) -> None:
        self._networks = KeyedState("n:", Recalibration, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._networks.restore(entries)

    def changes(self) -> dict[str, bytes | None]:
        return self._networks.changes()

    def learned(self) -> dict[str, Recalibration]:
        """By network, what is known now."""
        found = [(network, self._networks.get(network)) for network in list(self._networks.keys())]
        return {network: known for network, known in found if known is not None}

    def probability(self, cascade: Cascade, line: Line, said: float) -> float:
        """What the forecaster's probability is worth here."""
        known = self._networks.get(cascade.network)
        return said if known is None else known.probability(said, _growth(cascade, line))

    def prediction(self, cascade: Cascade, line: Line, prediction: Prediction) -> Prediction:
        """The forecast with both its probabilities set right."""
        known = self._networks.get(cascade.network)
        if known is None:
            return prediction
        growth = _growth(cascade, line)
        return replace(
            prediction,
            probability=known.probability(prediction.probability, growth),
            without_automation=known.probability(prediction.without_automation, growth),
        )

    def follow(self, cascade: Cascade, brand: str, line: Line, said: float, *, over: bool) -> None:
        """One more look at a story: remember what is said of it, or learn what it came to. `over`: its time has passed."""
        if over:
            self.end(cascade)
        elif has_crossed(cascade, line):
            self._learn(cascade, brand, crossed=True)
        elif not cascade.answered:
            before = cascade.claims.get(brand, [])
            claim = claim_of(said, _growth(cascade, line), cascade.engagements, before)
            if claim is not None:
                cascade.claims[brand] = [*before, claim]

    def end(self, cascade: Cascade) -> None:
        """Its time is over, and what it has not crossed by now it never does."""
        for brand in list(cascade.claims):
            self._learn(cascade, brand, crossed=False)

    def _learn(self, cascade: Cascade, brand: str, *, crossed: bool) -> None:
        claims = cascade.claims.pop(brand, None)
        if claims:
            self.learn(cascade.network, claims, crossed=crossed)

    def learn(self, network: str, claims: Sequence[Claim], *, crossed: bool) -> None:
        known = self._networks.get(network) or Recalibration()
        known.learn(claims, crossed)
        self._networks.put(network, known, None)


def _growth(cascade: Cascade, line: Line) -> float:
    return growth_to(more_until(line, cascade.everyone, float(cascade.engagements)), cascade.engagements)
