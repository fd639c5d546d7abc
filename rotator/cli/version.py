"""rotator's version."""


def version() -> str:
    """Return `rotator 0.1.0`, from the installed distribution."""
    # Saves all other commands a fiftieth of a second.
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415
    from importlib.metadata import version as version_of  # noqa: PLC0415

    try:
        return f"rotator {version_of('rotator')}"
    except PackageNotFoundError:
        return "rotator unknown"
