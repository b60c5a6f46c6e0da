"""What happens to an incident, in one transaction: a signal, a due time or a person comes in, and people are told."""
