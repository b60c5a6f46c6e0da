"""How a lane corrects the forecaster's probabilities on each network, as its own stories teach it (`virality.recalibration`).

A story is learned from once, when its horizon is over, whether it crossed its brand's line or not. If crossings were learned
at once and the others days later, every new lane and every busy day would look like a storm. Nothing is learned from a story
that the brand answered: an alarm that was heeded would look false, and the next ones would be believed less.
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
    """The corrections by network, in the lane's state. Every lane learns from the conversations it sees."""

    def __init__(self) -> None:
        self._networks = KeyedState("n:", Recalibration, STATE_VERSION)

    def restore(self, entries: Mapping[str, bytes]) -> None:
        self._networks.restore(entries)

    def changes(self) -> dict[str, bytes | None]:
        return self._networks.changes()

    def learned(self) -> dict[str, Recalibration]:
        """The present correction of each network of which anything is known."""
        found = [(network, self._networks.get(network)) for network in list(self._networks.keys())]
        return {network: known for network, known in found if known is not None}

    def probability(self, cascade: Cascade, line: Line, said: float) -> float:
        """The forecaster's probability `said`, corrected for the cascade's network."""
        known = self._networks.get(cascade.network)
        return said if known is None else known.probability(said, _growth(cascade, line))

    def prediction(self, cascade: Cascade, line: Line, prediction: Prediction) -> Prediction:
        """The forecast with both of its probabilities corrected."""
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
        """Note what the forecaster said of a story whose horizon is not over, or that the story has crossed the line."""
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
        """Learn from a story whose horizon (`horizon` seconds from its beginning) is over, or that is forgotten before.

        `brands` are those that are configured now. A line that was found crossed only after the horizon may not have been
        crossed in time: nothing is learned from it.
        """
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
        """Learn from the claims of one story of the network."""
        known = self._networks.get(network) or Recalibration()
        known.learn(claims, crossed, weight)
        self._networks.put(network, known, None)


def _growth(cascade: Cascade, line: Line) -> float:
    """How far the line is away from the cascade now (`growth_to`)."""
    return growth_to(more_until(line, cascade.everyone, float(cascade.engagements)), cascade.engagements)
