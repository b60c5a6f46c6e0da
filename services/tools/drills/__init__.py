"""Drills: scripted nights that anyone can read. The demo, the golden tests, the documentation and a customer's game day."""
