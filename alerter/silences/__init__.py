"""What keeps people from being told for a while: what a silence matches, and silences as rows."""
