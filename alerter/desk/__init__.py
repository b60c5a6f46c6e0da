"""Applies signals, due times and people's actions to incidents, each in one transaction, and tells people."""
