"""Delivers messages to endpoints: each delivery is durable before it is tried, and signed when it is sent."""
