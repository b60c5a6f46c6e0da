"""Escalation: who is told of an incident and when, step by step, until somebody has it."""
