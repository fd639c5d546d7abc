"""Where the Vault token comes from: handed in, from a file, or by logging in.

Each way to log in is a class here, a `Way`; `LoggedIn` makes a token source of any of them.
"""
