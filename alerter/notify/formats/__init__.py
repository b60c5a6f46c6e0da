"""How a message looks to whoever receives it, one file an outlet."""
