"""Connectors: each listens to one network, and hands what it hears to the runner."""
