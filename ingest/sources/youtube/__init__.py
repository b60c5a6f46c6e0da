"""YouTube: the comments of the brands' own channels, of chosen videos, and of videos that a search finds."""
