"""How the shipped weights were made. Never imported at run time."""
