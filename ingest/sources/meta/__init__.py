"""Meta: Facebook pages, Instagram and Threads, which tell by webhooks what happens on one's own accounts."""
