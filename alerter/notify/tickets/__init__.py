"""Tickets in other people's systems: opened, kept up to date and closed by templates, and what comes back from there."""
