"""Takes posts in: checks and normalises them, finds their brands, and answers 202 when the log has them."""
