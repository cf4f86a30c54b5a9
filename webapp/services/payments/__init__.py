"""Payment providers: accounts with them, what they tell us by webhook, and files for banks."""
