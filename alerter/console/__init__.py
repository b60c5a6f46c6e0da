"""The console: what is about to blow up, why, by when to answer, and who has it. HTML from the server, live over SSE."""
