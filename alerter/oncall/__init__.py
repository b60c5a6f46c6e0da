"""On call: who is on call when, by schedules, layers and overrides, in local time."""
