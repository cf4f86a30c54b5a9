"""What one page shows of several domains. Queries only: nothing here changes a row."""
