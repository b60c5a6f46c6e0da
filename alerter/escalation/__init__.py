"""Who is told when, until somebody has it."""
