"""`[policy]`, as the file has it: when and how an account is rotated."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator

from rotator import window
from rotator.composition import MAX_LENGTH, MIN_LENGTH
from rotator.config.cron import cron_expression
from rotator.config.duration import duration
from rotator.config.kind import Some, within
from rotator.config.problem import Unfit, did_you_mean
from rotator.config.table import Table
from rotator.model import OnForeign


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        meant = did_you_mean(text, sorted(available_timezones()))
        hint = "write an IANA name, as Europe/Berlin or UTC"
        raise Unfit(f"is no time zone{meant}", hint=hint) from None
    return text


def _on_foreign(value: object) -> OnForeign:
    for known in OnForeign:
        if value == known:
            return known
    raise Unfit(f"is not one of {', '.join(OnForeign)}")


def _windows(value: object) -> tuple[str, ...] | None:
    """Take one window or a list of them; none at all, an empty text or list, is always."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Unfit("is neither text nor a list of texts", hint=_HOW_TO_WRITE_WINDOWS)
    texts = [" ".join(text.lower().split()) for text in texts if text.strip()]
    for text in texts:
        try:
            window.parse(text)
        except ValueError as error:
            rule = str(error) if isinstance(value, str) else f"has {text[:40]!r}, which {error}"
            raise Unfit(rule, hint=_HOW_TO_WRITE_WINDOWS) from None
    return tuple(texts)


_HOW_TO_WRITE_WINDOWS = 'write "sun 02:00-05:00" or "mon-fri 22:00-04:00", or a list of such'


def _euros(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("is not a number")
    # A fraction by its text: 0.1 is not 0.1000000000000000055.
    euros = Decimal(value if isinstance(value, int) else str(value))
    if not euros.is_finite():
        raise Unfit("is not a finite number")
    return within(Decimal(0), _MOST_EUROS)(euros)


#: More than any account has.
_MOST_EUROS = Decimal(1_000_000_000)


class PolicyTable(Table):
    """`[policy]`, and the same keys in an account: None where the key is not given."""

    every: Annotated[timedelta | None, BeforeValidator(duration), Some] = None
    cron: Annotated[str | None, AfterValidator(cron_expression)] = None
    timezone: Annotated[str | None, AfterValidator(_timezone)] = None
    jitter: Annotated[timedelta | None, BeforeValidator(duration)] = None
    grace: Annotated[timedelta | None, BeforeValidator(duration)] = None
    max_age: Annotated[timedelta | None, BeforeValidator(duration)] = None
    length: Annotated[int | None, AfterValidator(within(MIN_LENGTH, MAX_LENGTH))] = None
    on_foreign: Annotated[OnForeign | None, BeforeValidator(_on_foreign)] = None
    window: Annotated[tuple[str, ...] | None, BeforeValidator(_windows)] = None
    #: None: the balance is not looked at.
    min_balance: Annotated[Decimal | None, BeforeValidator(_euros)] = None

    def given(self) -> dict[str, Any]:
        """Give the keys of a policy that this table sets, with their values."""
        values = {key: getattr(self, key) for key in PolicyTable.model_fields}
        return {key: value for key, value in values.items() if value is not None}
