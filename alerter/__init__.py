"""Turns signals into incidents and gets each to a person by signed webhooks."""
