"""TikTok for Business: comments on one's own videos, and mentions of the account."""
