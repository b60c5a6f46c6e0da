"""Reads posts and says how people feel, how far a story will go and when it crosses the line. Start with `pipeline.py`."""
