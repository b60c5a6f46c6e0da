"""Drills: scripted nights that anyone can read. They are the demo, the golden tests, the documentation and a customer's game
day."""
