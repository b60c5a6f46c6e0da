"""Read, process, commit: lanes with state and timers, exactly once."""
