"""Gates that come with rotator: whether every consumer uses the new secret.

Each is one command that reads only, bounded in time and memory. It answers open only for what it
has seen: what cannot be read, and consumers of which none is known, are shut.
"""
