"""Silences: what they match, and silences as rows."""
