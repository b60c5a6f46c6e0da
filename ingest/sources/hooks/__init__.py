"""What connectors share that are called by their network: who called, what the body holds, and the items that come of it."""
