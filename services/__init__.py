"""The floor that ingest, scorer and alerter stand on: events, the log, time and lifecycle. It imports none of the three."""
