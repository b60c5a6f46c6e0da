"""What is done when its time has come: due steps, pages and timers, digests, what is forgotten, and the gauges."""
