"""Reports on accounts, from what the ledger holds. Pure."""
