"""What migrations do to rows that are there."""
