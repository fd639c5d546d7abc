"""The values of single keys: outside their rule, and at its bound."""

from datetime import timedelta

import pytest

from tests.unit.config.file import SMS, VAULT, Read, Refuse


@pytest.mark.parametrize(
    ("table", "key", "value", "reason"),
    [
        ("vonage", "api_url", '"http://api.nexmo.com"', "is plain http to another machine"),
        ("vonage", "rest_url", "true", "true is not a string"),
        ("vonage", "timeout", '"0s"', "'0s' is not within 1s to 5m"),
        ("vonage", "timeout", '"301s"', "'301s' is not within 1s to 5m"),
        ("vonage", "timeout", "10", "10 is not a duration"),
        ("vonage", "max_requests_per_second", "0", "0 is less than 0.001"),
        ("vonage", "max_requests_per_second", "inf", "inf is not a finite number"),
        ("vonage", "max_requests_per_second", "nan", "nan is not a finite number"),
        ("vonage", "max_requests_per_second", '"5"', "'5' is not a number"),
        ("vonage", "propagation_timeout", '"0s"', "'0s' is less than 1s"),
        ("vault", "mount", '"/"', "'/' is empty"),
        ("vault", "namespace", '"a b"', "'a b' has spaces"),
        ("vault", "pending_prefix", '"a//b"', "'a//b' has a segment that is empty, . or .."),
        ("vault", "timeout", '"6m"', "'6m' is not within 1s to 5m"),
        ("vault", "ca_file", "[]", "a list is not a string"),
        ("vault", "ca_file", '"a\\u0000"', "'a\\x00' has control characters"),
        ("vault", "auth", '"token"', "'token' is not a table"),
        ("vault.auth", "method", '"aprole"', "'aprole' is not one of token, approle, kubernetes"),
        ("vault.auth", "mount", '"auth/approle"', "'auth/approle' begins with auth/"),
        ("vault.auth", "role", '"a\\u0000"', "has control characters"),
        ("ledger", "url", '"mysql://h/db"', "'mysql://h/db' is not a ledger URL"),
        ("ledger", "auto_upgrade", '"true"', "'true' is not true or false"),
        ("policy", "every", '"0s"', "'0s' is less than 1s"),
        ("policy", "jitter", '"-1s"', "'-1s' is not a duration"),
        ("policy", "length", "7", "7 is not within 8 to 25"),
        ("policy", "length", "40", "40 is not within 8 to 25"),
        ("policy", "length", "25.0", "25.0 is not a whole number"),
        ("policy", "length", "true", "true is not a whole number"),
        ("policy", "length", "{ a = 1 }", "a table is not a whole number"),
        ("policy", "on_foreign", '"evict"', "'evict' is not one of refuse, evict-oldest"),
        ("policy", "timezone", '"Europe/Berlni"', "did you mean Europe/Berlin?"),
        ("policy", "timezone", '"../../etc/passwd"', "is not a time zone"),
        ("policy", "timezone", '"Europe"', "'Europe' is not a time zone"),
        ("policy", "timezone", '""', "'' is not a time zone"),
        ("daemon", "concurrency", "0", "0 is not within 1 to 256"),
        ("daemon", "concurrency", "257", "257 is not within 1 to 256"),
        ("daemon", "poll", '"0s"', "'0s' is less than 1s"),
        ("daemon", "drift_check", '"0s"', "'0s' is less than 1s"),
        ("daemon", "listen", '"9470"', "'9470' is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", '":9470"', "':9470' is neither HOST:PORT nor unix:/PATH"),
        (
            "daemon",
            "listen",
            '"127.0.0.1:65536"',
            "'127.0.0.1:65536' is neither HOST:PORT nor unix:/PATH",
        ),
        ("daemon", "listen", '"unix:http.sock"', "is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", f'"unix:/{"x" * 107}"', "is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", '"0.0.0.0:9470"', "can be reached from other machines"),
        ("daemon", "listen", '"[::]:9470"', "can be reached from other machines"),
        ("daemon", "listen", '"rotator.internal:9470"', "can be reached from other machines"),
        ("telemetry", "otlp_endpoint", '"collector:4318"', "'collector:4318' names no host"),
        ("telemetry", "otlp_endpoint", '"http://u:p@host"', "has a user name, query or fragment"),
    ],
)
def test_value_outside_its_rule_is_refused(
    refuse: Refuse, table: str, key: str, value: str, reason: str
) -> None:
    """A wrong value is refused in one line that has its key's path, the value and the rule."""
    vault = "" if table.startswith("vault") else VAULT
    error = refuse(
        f"{vault}{SMS}[{table}]\n{key} = {value}\n",
        {"VAULT_ADDR": "https://vault.example.com"},
    )

    assert f"config.toml: {table}.{key}: " in error.message
    assert reason in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("table", "key", "text", "value"),
    [
        ("vonage", "max_requests_per_second", "1", 1.0),
        ("vonage", "max_requests_per_second", "0.5", 0.5),
        ("vonage", "timeout", '"5m"', timedelta(minutes=5)),
        ("daemon", "listen", '""', ""),
        ("daemon", "listen", '"unix:/run/rotator/http.sock"', "unix:/run/rotator/http.sock"),
        ("daemon", "listen", '"localhost:9470"', "localhost:9470"),
        ("telemetry", "otlp_endpoint", '"http://otel:4318/"', "http://otel:4318"),
        ("daemon", "listen", '"[::1]:0"', "[::1]:0"),
        ("daemon", "poll", '"1s"', timedelta(seconds=1)),
        ("policy", "jitter", '"0s"', timedelta()),
        ("policy", "grace", '"0s"', timedelta()),
        ("policy", "length", "8", 8),
    ],
)
def test_value_at_its_bound_is_taken(
    read: Read, table: str, key: str, text: str, value: object
) -> None:
    """A bound itself is within."""
    settings = read(f"{VAULT}{SMS}[{table}]\n{key} = {text}\n")

    assert getattr(getattr(settings, table), key) == value
