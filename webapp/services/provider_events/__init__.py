"""What payment providers tell us by webhooks, and what becomes of it."""
