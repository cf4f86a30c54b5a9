"""Payment providers: one protocol, one module per provider."""
