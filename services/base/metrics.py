"""Metrics of the floor, and how every service declares its own: names, units and meanings in one place each."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.base.clock import steady_time

LATENCY_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class FloorMetrics:
    """What every service counts. Declared once in a process, on the registry of that process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.lane_records = Counter(
            "firebreak_lane_records_total", "Records processed and committed", ["stage"], registry=registry
        )
        self.lane_commits = Counter(
            "firebreak_lane_commits_total", "Transactions committed", ["stage"], registry=registry
        )
        self.lane_restarts = Counter(
            "firebreak_lane_restarts_total",
            "Times a lane dropped its memory and acquired its partition again",
            ["stage"],
            registry=registry,
        )
        self.lane_behind = Gauge(
            "firebreak_lane_behind_records", "Records left to read", ["stage", "partition"], registry=registry
        )
        self.lane_commit_seconds = Histogram(
            "firebreak_lane_commit_seconds",
            "Duration of a commit",
            ["stage"],
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.lane_age_seconds = Histogram(
            "firebreak_lane_age_seconds",
            "Time from the append of a batch's oldest record to the commit of its results",
            ["stage"],
            registry=registry,
            buckets=LATENCY_SECONDS,
        )
        self.lane_gap_records = Counter(
            "firebreak_lane_gap_records_total",
            "Records that retention deleted before they were read",
            ["stage"],
            registry=registry,
        )
        self.dead_letters = Counter(
            "firebreak_dead_letters_total", "Records set aside", ["stage", "reason"], registry=registry
        )
        self.loop_lag_seconds = Gauge(
            "firebreak_loop_lag_seconds", "How late the event loop ran when it was last measured", registry=registry
        )
        self.clock_ahead_seconds = Gauge(
            "firebreak_clock_ahead_seconds",
            "How far the time by which the process works is ahead of the machine's clock, which was set back",
            registry=registry,
        )
        self.clock_ahead_seconds.set_function(lambda: steady_time.ahead)
        self.ready = Gauge(
            "firebreak_ready", "Whether the service is ready (1) or not (0)", ["service"], registry=registry
        )
        self.live = Gauge(
            "firebreak_live", "Whether the service makes progress (1) or not (0)", ["service"], registry=registry
        )
