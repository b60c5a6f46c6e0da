"""How much the forecaster is to be believed on each network: what the lane's own stories taught it (`virality.recalibration`).

A story teaches once, when its time is over, whether it crossed its brand's line or not: were crossings learned at once and
the others days later, every new lane and every busy day would look like a storm. One that the brand answered teaches
nothing, because alarms that were heeded would look false, and the next ones would be believed less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from scorer.virality.cascade import Cascade
from scorer.virality.forecast import Prediction, has_crossed, more_until
from scorer.virality.recalibration import Claim, Recalibration, claim_of, growth_to
from services.config.model import Brand
from services.contracts.signal import Line
from services.stream.state import KeyedState

STATE_VERSION: Final = 1


class RecalibrationState:
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

    def follow(self, cascade: Cascade, brand: str, line: Line, said: float) -> None:
        """One more look at a story whose time is not over: remember what is said of it, or that it crossed."""
        if cascade.answered:
            return
        before = cascade.claims.get(brand, [])
        if has_crossed(cascade, line):
            if before and brand not in cascade.crossed:
                cascade.crossed = [*cascade.crossed, brand]
            return
        claim = claim_of(said, _growth(cascade, line), cascade.engagements, before)
        if claim is not None:
            cascade.claims[brand] = [*before, claim]

    def end(self, cascade: Cascade, brands: Mapping[str, Brand], horizon: float) -> None:
        """Its time, `horizon` seconds from its beginning, is over, or it is forgotten before. `brands` are those that are
        still watched. A line found crossed only afterwards was perhaps not crossed in time, and teaches nothing."""
        in_time = cascade.newest <= cascade.begins + horizon
        for name, claims in cascade.claims.items():
            brand = brands.get(name)
            if brand is None:
                continue
            found = name not in cascade.crossed and has_crossed(cascade, brand.line)
            if in_time or not found:
                crossed = found or name in cascade.crossed
                self.learn(cascade.network, claims, crossed=crossed, weight=1.0 / len(cascade.claims))
        cascade.claims, cascade.crossed = {}, []

    def learn(self, network: str, claims: Sequence[Claim], *, crossed: bool, weight: float = 1.0) -> None:
        known = self._networks.get(network) or Recalibration()
        known.learn(claims, crossed, weight)
        self._networks.put(network, known, None)


def _growth(cascade: Cascade, line: Line) -> float:
    return growth_to(more_until(line, cascade.everyone, float(cascade.engagements)), cascade.engagements)
