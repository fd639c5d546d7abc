"""The Vault simulator."""
