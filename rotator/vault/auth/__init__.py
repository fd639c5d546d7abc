"""The source of the Vault token: supplied, read from a file, or obtained by logging in.

Each auth method is a class here, an `AuthMethod`; `LoginToken` makes a token source of any of them.
"""
