"""What may stand under `sources: listen:`, one section for each kind of connector."""
