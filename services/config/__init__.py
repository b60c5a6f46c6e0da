"""The operator's configuration file: its sections, and how it is read and checked."""
