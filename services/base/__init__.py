"""What everything stands on: errors, clock, retries, settings, logs, metrics, long tasks, crash seams."""
