"""The forecast stage: once for every conversation that moved, how far it will go, and who is told."""

from __future__ import annotations

from scorer.forwarding import Forwarding
from scorer.lane_state import LaneState
from scorer.signals import Announcement
from scorer.step import Step
from scorer.virality.cascade import Cascade, LastAnnounced
from scorer.virality.forecast import (
    FRESH_SECONDS,
    RECHECK_SECONDS,
    Forecaster,
    has_crossed,
    has_evidence,
    has_news,
    is_outdated,
    level_of,
    moved_enough,
    worth_a_forecast,
    worth_telling,
)
from services.config.model import Brand
from services.contracts.signal import Level


class Forecasting:
    """Forecasts the conversations of one lane for the brands that they concern.

    Stories are forecast up to `horizon_seconds` after they began, and forgotten after `expire_seconds` of silence.
    """

    def __init__(
        self,
        state: LaneState,
        forecaster: Forecaster,
        forwarding: Forwarding,
        *,
        horizon_seconds: float,
        expire_seconds: float,
    ) -> None:
        self._state = state
        self._forecaster = forecaster
        self._forwarding = forwarding
        self._horizon = horizon_seconds
        self._expire = expire_seconds

    def expire(self, step: Step) -> None:
        """Take the conversations whose timers are due: forget those that were silent for too long, look at the others."""
        for conversation in self._state.cascades.pop_due(step.now):
            cascade = self._state.cascades.get(conversation)
            if cascade is not None and step.now - cascade.newest >= self._expire:
                self._state.moods.learn(cascade)
                self._state.recalibrations.end(cascade, step.watched.brands, self._horizon)
                self._forwarding.end(conversation, cascade, step)
            else:
                step.moved[conversation] = None

    def forecast(self, step: Step) -> None:
        """Look at every conversation that moved, and set the timer at which it is looked at again without an event."""
        for conversation in step.moved:
            cascade = self._state.cascades.get(conversation)
            if cascade is None:
                continue
            if cascade.claims and step.now - cascade.begins > self._horizon:
                self._state.recalibrations.end(cascade, step.watched.brands, self._horizon)
            if (
                cascade.brands
                and has_evidence(cascade)
                and (moved_enough(cascade, step.now) or self._has_news(cascade, step))
            ):
                self._look(cascade, conversation, step)
            self._state.cascades.put(conversation, cascade, self._due(cascade, step.now))

    def _has_news(self, cascade: Cascade, step: Step) -> bool:
        """Returns True if a brand must hear of the conversation (`forecast.has_news`)."""
        for name in cascade.brands:
            brand = step.watched.brands.get(name)
            if brand is not None and has_news(cascade, brand.line, cascade.told.get(name), step.now):
                return True
        return False

    def _due(self, cascade: Cascade, now: float) -> float:
        """Returns when the conversation is looked at again without an event."""
        told = cascade.told
        if not told:
            return max(now, cascade.newest) + self._expire
        is_open = any(last.level != Level.EASING for last in told.values())
        due = now + RECHECK_SECONDS if is_open else max(now, cascade.newest) + self._expire
        # What grew just after it was told is told when that is a minute ago, even if nothing follows.
        waits = [last.at + FRESH_SECONDS for last in told.values() if is_outdated(cascade, last, now)]
        return min([due, *(at for at in waits if at > now)])

    def _look(self, cascade: Cascade, conversation: str, step: Step) -> None:
        """Forecast the conversation for each of its brands that is configured."""
        highest = 0.0
        for name in cascade.brands:
            brand = step.watched.brands.get(name)
            if brand is not None:
                highest = max(highest, self._forecast_for(brand, cascade, conversation, step))
        cascade.looked = (cascade.engagements, cascade.everyone.reach, step.now, highest)

    def _forecast_for(self, brand: Brand, cascade: Cascade, conversation: str, step: Step) -> float:
        """The probability that the story crosses the brand's line. The brand is told whatever is worth telling."""
        now, line, known = step.now, brand.line, self._state.recalibrations
        last = cascade.told.get(brand.id)
        said = self._forecaster.probability(cascade, line, now, self._horizon)
        if now - cascade.begins <= self._horizon:
            known.follow(cascade, brand.id, line, said)
        probability = known.probability(cascade, line, said)
        if not worth_a_forecast(probability, last):
            return probability
        prediction = known.prediction(cascade, line, self._forecaster.predict(cascade, line, now, self._horizon))
        level = level_of(cascade, line, prediction, last, now)
        if level is None or not (worth_telling(level, prediction, last, now) or has_news(cascade, line, last, now)):
            return probability
        crossed_at = last.crossed_at if last is not None else None
        if crossed_at is None and has_crossed(cascade, line):
            crossed_at = now
        self._forwarding.forget_deleted(conversation, step)
        number = last.number + 1 if last is not None else 1
        crossing = self._forecaster.crossing(cascade, line, now, self._horizon)
        cascade.told[brand.id] = announced = LastAnnounced(
            number,
            level.value,
            prediction.probability,
            prediction.median,
            now,
            crossed_at,
            cascade.engagements,
            cascade.everyone.reach,
            None if crossing.earliest is None else now + crossing.earliest,
        )
        step.signals.forecast(
            cascade,
            Announcement(
                conversation=conversation,
                brand=brand,
                last=announced,
                prediction=prediction,
                crossing=crossing,
                horizon_seconds=self._horizon,
                usual_mood=self._state.moods.share(brand, cascade),
                model=self._forecaster.name,
            ),
        )
        if last is None:
            step.signals.watch(cascade, conversation, brand, now)
        return probability
