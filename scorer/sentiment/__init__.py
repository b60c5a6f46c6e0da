"""What a text says: sentiment, complaint, severity."""
