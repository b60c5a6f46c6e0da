"""The alerter's HTTP API under /v1, for whoever holds the admin key."""
