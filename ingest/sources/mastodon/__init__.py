"""Hears servers with Mastodon's API."""
