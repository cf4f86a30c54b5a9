"""« Importer »: clients, contracts, bank accounts and mandates from a file, planned before applied (docs/adr/0074)."""
