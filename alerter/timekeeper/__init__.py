"""Does what falls due: steps, pages, timers and digests; forgets what is old; keeps the gauges up to date."""
