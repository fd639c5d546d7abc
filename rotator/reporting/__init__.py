"""What people are told of accounts: pure, from what the ledger holds."""
