"""Who is on call when: schedules, layers, overrides, local time."""
