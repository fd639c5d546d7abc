from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.errors import LedgerError
from rotator.model import Outcome, PassResult, Step
from rotator.rotation.ports import AccountSummary, NewEntry
from rotator.rotation.result import result_of
from rotator.telemetry.metrics import Metrics, family, labels
from tests.support.samples import account
from tests.unit.reporting.test_status import HOLD, NOW
from tests.unit.web.test_overview import summary

#: What monitoring relies on.
NAMES = {
    "rotator_rotations_total",
    "rotator_last_success_timestamp_seconds",
    "rotator_next_due_timestamp_seconds",
    "rotator_secret_created_timestamp_seconds",
    "rotator_active_secrets",
    "rotator_api_requests_total",
    "rotator_rotation_duration_seconds",
    "rotator_vault_token_expiry_timestamp_seconds",
    "rotator_account_held",
    "rotator_account_drift",
    "rotator_build_info",
}


def made(*names: str, records: Mapping[str, AccountSummary] | None = None) -> Metrics:
    """Return metrics of these accounts."""
    metrics = Metrics("1.2.3")
    metrics.watch(names, lambda: records or {})
    return metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Read what is rendered."""
    lines = metrics.rendered().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def report(outcome: Outcome, name: str = "a") -> PassResult:
    """Report a pass."""
    return result_of(account(name), outcome, None)


def test_every_name_is_there_from_the_start() -> None:
    """Before anything was done, and no other name is."""
    text = made("a").rendered().decode()
    named = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}

    assert named == NAMES
    assert samples(made("a"))['rotator_build_info{version="1.2.3"}'] == 1


def test_label_sets_begin_at_zero() -> None:
    """So that the first failure is an increase."""
    found = samples(made("a"))

    for outcome in ("completed", "failed", "refused"):
        assert found[f'rotator_rotations_total{{account="a",outcome="{outcome}"}}'] == 0
    created = 'rotator_api_requests_total{api="vonage",code="201",operation="secrets.create"}'
    assert found[created] == 0
    assert found['rotator_account_drift{account="a"}'] == 0
    assert found["rotator_vault_token_expiry_timestamp_seconds"] == 0


def test_passes_are_counted_by_their_end() -> None:
    """What only goes on, and what is no longer configured, is not."""
    metrics = made("a")
    for each in (Outcome.COMPLETED, Outcome.FAILED, Outcome.FAILED, Outcome.AWAITING_DELETION):
        metrics.pass_finished("a", report(each))
    metrics.pass_finished("gone", report(Outcome.COMPLETED, "gone"))
    found = samples(metrics)

    assert found['rotator_rotations_total{account="a",outcome="completed"}'] == 1
    assert found['rotator_rotations_total{account="a",outcome="failed"}'] == 2
    assert not [name for name in found if "gone" in name or "awaiting" in name]


def test_an_account_that_is_not_configured_any_more_is_gone() -> None:
    """And what stays keeps its count."""
    metrics = made("a", "b")
    metrics.pass_finished("a", report(Outcome.COMPLETED))
    metrics.watch(["a"], dict)
    found = samples(metrics)

    assert found['rotator_rotations_total{account="a",outcome="completed"}'] == 1
    assert not [name for name in found if '"b"' in name]


@pytest.mark.parametrize(
    ("code", "label"), [("200", "200"), ("418", "4xx"), ("999", "9xx"), ("timeout", "timeout")]
)
def test_codes_are_few(code: str, label: str) -> None:
    """A server that answers with any number does not fill the monitoring's memory."""
    metrics = made("a")
    metrics.call_finished("vonage", "secrets.list", code, 0.1)
    found = samples(metrics)

    name = f'rotator_api_requests_total{{api="vonage",code="{label}",operation="secrets.list"}}'
    assert found[name] == 1


def test_rotations_are_timed_until_vault_has_the_new_secret() -> None:
    """One that was given up is not, nor one that another process opened."""
    metrics = made("a")
    for rotation_id, event, step in (
        ("r1", "opened", Step.OPEN),
        ("r1", "done", Step.CREATE),
        ("r1", "done", Step.VERIFY),
        ("r1", "closed", Step.COMPLETE),
        ("r2", "opened", Step.OPEN),
        ("r2", "closed", Step.ABORT),
        ("r3", "done", Step.VERIFY),
        (None, "drift", None),
    ):
        metrics.entry_recorded(
            "a", NewEntry(event=event, step=step, detail={}, rotation_id=rotation_id)
        )
    found = samples(metrics)

    assert found["rotator_rotation_duration_seconds_count"] == 1
    assert found['rotator_rotation_duration_seconds_bucket{le="0.5"}'] == 1


def test_openings_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations that are carried on elsewhere do not fill this process's memory."""
    monkeypatch.setattr("rotator.telemetry.metrics._MOST_OPEN", 2)
    metrics = made("a")
    for rotation_id in "123":
        metrics.entry_recorded(
            "a", NewEntry(event="opened", step=Step.OPEN, detail={}, rotation_id=rotation_id)
        )

    assert list(metrics._opened) == ["2", "3"]


def test_gauges_tell_what_the_ledger_knows() -> None:
    """In seconds since 1970, and 0 where there is nothing to tell."""
    known = summary("a", hold=HOLD, drift="x: y", last_success_at=NOW, next_due_at=None)
    found = samples(made("a", records={"a": known}))

    assert found['rotator_last_success_timestamp_seconds{account="a"}'] == NOW.timestamp()
    assert found['rotator_next_due_timestamp_seconds{account="a"}'] == 0
    assert found['rotator_active_secrets{account="a"}'] == 1
    assert found['rotator_account_held{account="a"}'] == 1
    assert found['rotator_account_drift{account="a"}'] == 1


def test_without_the_ledger_there_are_no_gauges() -> None:
    """Rather none than old ones; what this process counted is there."""
    metrics = Metrics("x")

    def away() -> Mapping[str, AccountSummary]:
        raise LedgerError

    metrics.watch(["a"], away)
    found = samples(metrics)

    assert not [name for name in found if name.startswith("rotator_account_held")]
    assert found['rotator_rotations_total{account="a",outcome="completed"}'] == 0


def test_the_token_expiry_is_told_where_it_is_known() -> None:
    """By whoever keeps the token."""
    metrics, expiry = made("a"), datetime(2026, 12, 1, tzinfo=UTC)
    metrics.set_token_expiry(lambda: expiry)

    name = "rotator_vault_token_expiry_timestamp_seconds"
    assert samples(metrics)[name] == expiry.timestamp()


def test_a_label_may_be_any_text() -> None:
    """Prometheus would read a bare quotation mark as its end, and drop the whole answer."""
    lines = list(family("m", "gauge", "What it means", [(labels(account='a"b\\c\nd'), True)]))

    assert lines == [
        "# HELP m What it means\n",
        "# TYPE m gauge\n",
        'm{account="a\\"b\\\\c\\nd"} 1.0\n',
    ]


def test_what_is_rendered_is_what_prometheus_reads() -> None:
    """Its own parser finds every family, with its kind."""
    text = made("a", records={"a": summary("a")}).rendered().decode()
    kinds = {each.name: each.type for each in text_string_to_metric_families(text)}

    assert kinds["rotator_rotations"] == "counter"
    assert kinds["rotator_account_held"] == "gauge"
    assert kinds["rotator_rotation_duration_seconds"] == "histogram"
