"""Operations: planned, looked at, applied as planned, undone (docs/adr/0070)."""
