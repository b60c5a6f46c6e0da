"""What people work on: one incident per brand and story, from the first forecast to its end."""
