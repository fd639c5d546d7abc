"""`[vonage]`, as the file has it."""

from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from rotator.config.kind import Positive, Timeout, WebUrl, at_least
from rotator.config.table import Table


class Vonage(Table):
    """`[vonage]`: how Vonage is reached."""

    api_url: WebUrl = "https://api.nexmo.com"
    rest_url: WebUrl = "https://rest.nexmo.com"
    #: Of one request.
    timeout: Timeout = timedelta(seconds=10)
    #: Over all accounts.
    max_requests_per_second: Annotated[
        float, Field(allow_inf_nan=False), AfterValidator(at_least(0.001))
    ] = 5.0
    #: How long a new secret may take to be accepted everywhere.
    propagation_timeout: Positive = timedelta(minutes=2)
