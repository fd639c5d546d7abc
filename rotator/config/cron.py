"""Whether a cron expression is one that the schedule can follow."""

from datetime import UTC, datetime

from rotator.config.problem import Unfit

_FIELDS = 5


def cron_expression(text: str) -> str:
    """Give a valid expression with single spaces, or raise `Unfit`."""
    from cronsim import CronSim, CronSimError  # noqa: PLC0415  # most configurations have none

    fields = text.split()
    if len(fields) != _FIELDS:
        raise Unfit("does not have five fields: minute, hour, day of month, month, day of week")
    expression = " ".join(fields)
    try:
        next(CronSim(expression, datetime(2000, 1, 1, tzinfo=UTC)))
    except CronSimError as error:
        raise Unfit(f"has a {str(error).lower()}") from None
    except StopIteration:
        raise Unfit("names a day that its months do not have, so it would never come") from None
    return expression
