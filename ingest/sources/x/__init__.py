"""X: the filtered stream with search behind it (`source`), and the webhooks of the Activity API (`activity`)."""
