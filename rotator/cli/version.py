"""Which rotator this is."""


def version() -> str:
    """Give `rotator 0.1.0`, from the installed distribution."""
    # A fiftieth of a second that all commands but this one save.
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415
    from importlib.metadata import version as version_of  # noqa: PLC0415

    try:
        return f"rotator {version_of('rotator')}"
    except PackageNotFoundError:
        return "rotator unknown"
