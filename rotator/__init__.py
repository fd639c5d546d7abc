"""rotator keeps Vonage API secrets young."""


def version() -> str:
    """Return the installed distribution's version, or `unknown`."""
    # Saves most commands a fiftieth of a second.
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415
    from importlib.metadata import version as installed  # noqa: PLC0415

    try:
        return installed("rotator")
    except PackageNotFoundError:
        return "unknown"
