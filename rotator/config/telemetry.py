"""`[telemetry]`, as the file has it."""

from typing import Annotated

from pydantic import AfterValidator

from rotator.config import url
from rotator.config.table import Table


class Telemetry(Table):
    """`[telemetry]`: where traces are sent."""

    #: An OpenTelemetry collector's base URL for OTLP over HTTP; "" for none.
    otlp_endpoint: Annotated[str, AfterValidator(url.collector_url)] = ""
