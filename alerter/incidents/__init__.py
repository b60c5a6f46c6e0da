"""Incidents: what people work on, one per brand and story, from the first forecast to the end."""
