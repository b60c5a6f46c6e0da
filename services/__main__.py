"""`python -m services` is `firebreak`."""

from services.cli import main

main()
