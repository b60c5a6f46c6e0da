"""Bluesky: everything that is said there comes by Jetstream; what names a brand, or hangs on what does, is passed on."""
