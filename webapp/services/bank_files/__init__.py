"""Bank files: SEPA debits announced, written into files, handed to the bank, settled or returned."""
