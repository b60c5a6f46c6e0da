"""What all connectors share that ask a network every so often: calls, tokens, lists newest first, and the round of them."""
