"""Sales of covers (souscriptions): drafts that go step by step, and what the client signs."""
