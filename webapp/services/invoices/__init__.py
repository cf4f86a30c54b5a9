"""Invoices: drafted with the charge, numbered afterwards, settled by the ledger, printed on demand."""
