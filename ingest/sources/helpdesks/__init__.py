"""Help desks that tell by webhooks what customers write and what is answered: Zendesk and Chatwoot."""
