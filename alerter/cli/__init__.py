"""The alerter's commands of `firebreak`."""
