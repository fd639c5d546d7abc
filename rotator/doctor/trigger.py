"""The trigger: the keys by which its requests are believed."""

from collections.abc import Iterator

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, fine
from rotator.errors import ConfigError


def checks(application: Application) -> Iterator[CheckResult]:
    """Check that its keys can be used, if it is on; a daemon that cannot listen has an outage."""
    settings = application.settings.trigger
    if not settings.listen:
        return
    try:
        count = len(settings.read_keys())
    except ConfigError as error:
        yield bad("trigger", settings.listen, error.message, error.hint or "")
    else:
        keys = "two keys, as while one is replaced" if count > 1 else "one key"
        yield fine("trigger", settings.listen, f"believes what is signed with {keys}")
