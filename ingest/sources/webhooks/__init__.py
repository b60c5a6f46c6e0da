"""Webhooks of partners: posts in our own shape, or in theirs with a mapping in the configuration."""
