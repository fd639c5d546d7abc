"""The ledger: every rotation and each of its steps, in SQLite or PostgreSQL."""
