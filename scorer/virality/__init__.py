"""Cascades and their forecasts. Pure: no input or output here."""
