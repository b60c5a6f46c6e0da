"""The alerter's metrics: names, units and meanings. Labels come from closed sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from alerter.rules.severity import MILDEST, WORST
from alerter.states import AnsweredBy, AttemptOutcome, DeliveryState, Dismissal, TellReason
from services.base.metrics import LATENCY_SECONDS
from services.contracts.incident import Change

STAGE = "alerter"
LOOPS = (
    "deliverer", "leases", "publisher", "engine", "gauges", "purger", "repeater", "clock-notes", "config-news",
    "rota-history", "foresight", "declarations",
)  # fmt: skip


class AlerterMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.signals = Counter(
            "firebreak_alerter_signals_total",
            "Signals applied, by type and outcome (opened, joined, noted, ignored, repeated)",
            ["type", "outcome"],
            registry=registry,
        )
        self.incidents = Gauge(
            "firebreak_incidents",
            "Incidents that are not over, by state and severity",
            ["state", "severity"],
            registry=registry,
        )
        self.untold = Gauge(
            "firebreak_incidents_untold",
            "Incidents that are not over and that nobody was told of, because their policy reaches nobody",
            registry=registry,
        )
        self.precision = Gauge(
            "firebreak_alarm_precision",
            "Right alarms as a share of the right and false ones of the last 30 days; NaN if there are none",
            registry=registry,
        )
        self.lead_seconds = Gauge(
            "firebreak_alarm_lead_seconds",
            "Median lead time of the last 30 days, from the first message to the line; NaN if no story crossed",
            registry=registry,
        )
        self.changes = Counter(
            "firebreak_incident_changes_total",
            "Changes published, by kind and severity",
            ["change", "severity"],
            registry=registry,
        )
        # From zero, so that the first opening shows as an increase.
        for change in Change:
            for severity in range(WORST, MILDEST + 1):
                self.changes.labels(change, str(severity))
        self.tell_decisions = Counter(
            "firebreak_incident_tell_decisions_total",
            "Changes to incidents, by the reason why people were told or not told",
            ["reason"],
            registry=registry,
        )
        for reason in TellReason:
            self.tell_decisions.labels(reason)
        self.signal_to_incident_seconds = Histogram(
            "firebreak_signal_to_incident_seconds",
            "Time from the append of a signal to the commit of the incident that it opened",
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.incident_to_delivery_seconds = Histogram(
            "firebreak_incident_to_delivery_seconds",
            "Time from the commit of a message to the 2xx answer of its endpoint",
            registry=registry,
            buckets=(*LATENCY_SECONDS, 300, 1800, 7200),
        )
        self.attempts = Counter(
            "firebreak_delivery_attempts_total", "Attempts to deliver, by outcome", ["outcome"], registry=registry
        )
        self.deliveries = Counter(
            "firebreak_deliveries_total",
            "Deliveries that ended, by state (delivered, exhausted, cancelled, superseded)",
            ["state"],
            registry=registry,
        )
        self.swept = Counter(
            "firebreak_delivery_leases_swept_total",
            "Attempts that were repeated because their end was never recorded",
            registry=registry,
        )
        self.outbox_rows = Gauge(
            "firebreak_outbox_rows",
            "Rows waiting in the outbox, by kind (delivery, publication)",
            ["kind"],
            registry=registry,
        )
        self.outbox_oldest_seconds = Gauge(
            "firebreak_outbox_oldest_seconds", "Age of the oldest waiting delivery", registry=registry
        )
        self.endpoint_failing = Gauge(
            "firebreak_endpoint_failing_deliveries",
            "Deliveries that failed at least once and will be retried, by endpoint; endpoints with none are left out",
            ["endpoint"],
            registry=registry,
        )
        self.endpoint_tripped = Gauge(
            "firebreak_endpoint_tripped",
            "1 while an endpoint's circuit breaker is open: it only fails and is probed; others are left out",
            ["endpoint"],
            registry=registry,
        )
        self.brand_incidents = Gauge(
            "firebreak_brand_incidents",
            "Incidents that are not over, by brand and severity; brands with none are left out",
            ["brand", "severity"],
            registry=registry,
        )
        self.endpoints_disabled = Counter(
            "firebreak_endpoints_disabled_total",
            "Endpoints disabled: they answered 410 Gone, or only failed for days",
            registry=registry,
        )
        self.loop_errors = Counter(
            "firebreak_alerter_loop_errors_total",
            "Turns of a loop that failed and are retried, by loop",
            ["loop"],
            registry=registry,
        )
        # From zero: a rate over a series that appears with its first error never sees that error.
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
            "Digests of overdue answers, by outcome (sent, or unowned: there was nobody to send it to)",
            ["outcome"],
            registry=registry,
        )
        self.answers_overdue = Gauge(
            "firebreak_answers_overdue",
            "Complaints and questions without an answer although one is due, by brand",
            ["brand"],
            registry=registry,
        )
        self.answers_settled = Counter(
            "firebreak_answers_settled_total",
            "Complaints and questions that people dealt with, by action (answered, dismissed, assigned, snoozed, reopened) and "
            "reason (how it was answered, or why it needs no answer)",
            ["action", "reason"],
            registry=registry,
        )
        for how in AnsweredBy:
            self.answers_settled.labels("answered", how)
        for why in Dismissal:
            self.answers_settled.labels("dismissed", why)
        self.sign_ins = Counter(
            "firebreak_sign_ins_total",
            "Tries to sign in to the console, by outcome (ok, wrong, throttled)",
            ["outcome"],
            registry=registry,
        )
        self.oncall_gap_seconds = Gauge(
            "firebreak_oncall_gap_seconds",
            "How long nobody is on call in the next seven days, by schedule",
            ["schedule"],
            registry=registry,
        )
        self.oncall_covered = Gauge(
            "firebreak_oncall_covered",
            "1 while somebody is on call, 0 while nobody is",
            ["schedule"],
            registry=registry,
        )

    def count_announced(self, published: Iterable[tuple[Change, int]], decisions: Mapping[TellReason, int]) -> None:
        """Count the changes that one committed transaction published, and why people were told or not."""
        for change, severity in published:
            self.changes.labels(change, str(severity)).inc()
        for reason, count in decisions.items():
            self.tell_decisions.labels(reason).inc(count)
