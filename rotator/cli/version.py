"""rotator's version."""

from rotator import own_version


def version() -> str:
    """Return `rotator 0.1.0`, from the installed distribution."""
    return f"rotator {own_version()}"
