"""From the outbox to an endpoint: every delivery is durable before it is tried, and signed when it is sent."""
