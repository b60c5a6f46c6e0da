"""Takes posts in: checks, normalises and matches them to brands, and answers 202 when the log has them."""
