"""The ledger: every rotation and every step of it, in SQLite or PostgreSQL."""
