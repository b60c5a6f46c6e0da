"""What the alerter measures: names, units and meanings. Labels come from closed sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerter.rules.severity import MILDEST, WORST
from alerter.states import AttemptOutcome, DeliveryState, TellReason
from services.base.metrics import LATENCY_SECONDS
from services.contracts.incident import Change

STAGE = "alerter"
LOOPS = ("deliverer", "publisher", "engine", "gauges", "purger", "repeater")


class AlerterMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.signals = Counter(
            "firebreak_alerter_signals_total",
            "Signals applied, by type and what came of them (opened, joined, noted, ignored, repeated)",
            ["type", "outcome"],
            registry=registry,
        )
        self.incidents = Gauge(
            "firebreak_incidents", "Incidents that are not over", ["state", "severity"], registry=registry
        )
        self.precision = Gauge(
            "firebreak_alarm_precision",
            "Alarms of the last 30 days that were right, of those that were right or false; NaN while none is known",
            registry=registry,
        )
        self.lead_seconds = Gauge(
            "firebreak_alarm_lead_seconds",
            "Median time from the first message to the line, over the last 30 days; NaN while none crossed",
            registry=registry,
        )
        self.changes = Counter(
            "firebreak_incident_changes_total", "Messages about incidents", ["change", "severity"], registry=registry
        )
        # From zero, so that the first opening is an increase and no beginning.
        for change in Change:
            for severity in range(WORST, MILDEST + 1):
                self.changes.labels(change, str(severity))
        self.tell_decisions = Counter(
            "firebreak_incident_tell_decisions_total",
            "Changes to incidents, by why people were told of them or why not",
            ["reason"],
            registry=registry,
        )
        for reason in TellReason:
            self.tell_decisions.labels(reason)
        self.signal_to_incident_seconds = Histogram(
            "firebreak_signal_to_incident_seconds",
            "From a signal's append to the commit of the incident that it opened",
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.incident_to_delivery_seconds = Histogram(
            "firebreak_incident_to_delivery_seconds",
            "From the commit of a message to the answer 2xx of its endpoint",
            registry=registry,
            buckets=(*LATENCY_SECONDS, 300, 1800, 7200),
        )
        self.attempts = Counter(
            "firebreak_delivery_attempts_total", "Attempts to deliver, by outcome", ["outcome"], registry=registry
        )
        self.deliveries = Counter(
            "firebreak_deliveries_total",
            "Deliveries that ended (delivered, exhausted, cancelled)",
            ["state"],
            registry=registry,
        )
        self.swept = Counter(
            "firebreak_delivery_leases_swept_total",
            "Attempts whose end was never recorded and that were repeated",
            registry=registry,
        )
        self.outbox_rows = Gauge(
            "firebreak_outbox_rows", "Rows that wait (delivery, publication)", ["kind"], registry=registry
        )
        self.outbox_oldest_seconds = Gauge(
            "firebreak_outbox_oldest_seconds", "Age of the oldest delivery that waits", registry=registry
        )
        self.endpoint_failing = Gauge(
            "firebreak_endpoint_failing_deliveries",
            "Deliveries that failed at least once and will be tried again, by endpoint; only endpoints with some",
            ["endpoint"],
            registry=registry,
        )
        self.endpoint_tripped = Gauge(
            "firebreak_endpoint_tripped",
            "1 where an endpoint's circuit breaker is open: it only failed and is tried now and then; only such endpoints",
            ["endpoint"],
            registry=registry,
        )
        self.brand_incidents = Gauge(
            "firebreak_brand_incidents",
            "Incidents that are not over, by brand and severity; only brands with some",
            ["brand", "severity"],
            registry=registry,
        )
        self.endpoints_disabled = Counter(
            "firebreak_endpoints_disabled_total", "Endpoints that answered 410 Gone", registry=registry
        )
        self.loop_errors = Counter(
            "firebreak_alerter_loop_errors_total",
            "Turns of a loop that failed and were tried again",
            ["loop"],
            registry=registry,
        )
        # Zero from the start: a rate over a series that appears with its first fault never sees that fault.
        for loop in LOOPS:
            self.loop_errors.labels(loop)
        for outcome in AttemptOutcome:
            if outcome.is_known:
                self.attempts.labels(outcome)
        for state in DeliveryState:
            if state.is_over:
                self.deliveries.labels(state)
        self.answer_digests = Counter(
            "firebreak_answer_digests_total",
            "Digests of overdue answers (sent, unowned: nobody to send it to)",
            ["outcome"],
            registry=registry,
        )
        self.answers_overdue = Gauge(
            "firebreak_answers_overdue",
            "Complaints and questions that are due and not answered",
            ["brand"],
            registry=registry,
        )
        self.oncall_gap_seconds = Gauge(
            "firebreak_oncall_gap_seconds",
            "Of the next seven days, how long nobody is on call",
            ["schedule"],
            registry=registry,
        )
        self.oncall_covered = Gauge(
            "firebreak_oncall_covered",
            "1 while somebody is on call, 0 while nobody is",
            ["schedule"],
            registry=registry,
        )

    def count_announced(self, told: Iterable[tuple[Change, int]], decisions: Mapping[TellReason, int]) -> None:
        """Count what one committed transaction published, and why people were told or not."""
        for change, severity in told:
            self.changes.labels(change, str(severity)).inc()
        for reason, count in decisions.items():
            self.tell_decisions.labels(reason).inc(count)
