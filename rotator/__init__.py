"""rotator keeps Vonage API secrets young."""


def own_version() -> str:
    """Return the installed version, such as `0.2.0`; "unknown" in a checkout without one."""
    # Saves the commands that do not need it a fiftieth of a second.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("vonage-rotator")
    except PackageNotFoundError:
        return "unknown"
