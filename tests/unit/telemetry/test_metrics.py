import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.errors import LedgerError
from rotator.model import Outcome, PassResult, Step
from rotator.rotation.ports import NewEntry
from rotator.rotation.result import result_of
from rotator.telemetry.exposition import Family, Scope, labels
from rotator.telemetry.metrics import Metrics
from rotator.telemetry.vitals import Vitals
from tests.support.exported_metrics import exported
from tests.support.samples import account

NOW = datetime(2026, 12, 1, tzinfo=UTC)
#: What monitoring relies on: of the daemon, and of the ledger.
OWN_NAMES = {
    "rotator_rotations_total",
    "rotator_api_requests_total",
    "rotator_rotation_duration_seconds",
    "rotator_account_balance_euros",
    "rotator_account_balance_timestamp_seconds",
    "rotator_up",
    "rotator_last_poll_timestamp_seconds",
    "rotator_poll_interval_seconds",
    "rotator_config_last_reload_success_timestamp_seconds",
    "rotator_config_last_reload_successful",
    "rotator_vault_token_expiry_timestamp_seconds",
    "rotator_vault_token_lifetime_seconds",
    "rotator_build_info",
}
LEDGER_NAMES = {
    "rotator_account_state",
    "rotator_account_condition_since_timestamp_seconds",
    "rotator_account_failed_tries",
    "rotator_account_late_timestamp_seconds",
    "rotator_account_rotation_opened_timestamp_seconds",
    "rotator_account_gate_shut_timestamp_seconds",
    "rotator_account_min_balance_euros",
    "rotator_hook_undelivered",
    "rotator_witness_last_checkpoint_timestamp_seconds",
    "rotator_hook_oldest_undelivered_timestamp_seconds",
    "rotator_last_success_timestamp_seconds",
    "rotator_next_due_timestamp_seconds",
    "rotator_secret_created_timestamp_seconds",
    "rotator_active_secrets",
    "rotator_account_held",
    "rotator_account_drift",
}


def made(*names: str) -> Metrics:
    """Return metrics of these accounts, of which the ledger knows nothing."""
    metrics = Metrics("1.2.3")
    metrics.watch(names, tuple)
    return metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Read what is rendered."""
    lines = metrics.rendered().decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def report(outcome: Outcome, name: str = "a") -> PassResult:
    """Report a pass."""
    return result_of(account(name), outcome, None)


def test_every_name_is_there() -> None:
    """And no other name is; those of the daemon before anything was done."""
    of_daemon, everything = made("a").rendered().decode(), exported()

    assert names_in(of_daemon) == OWN_NAMES
    assert names_in(everything) == OWN_NAMES | LEDGER_NAMES
    assert samples(made("a"))['rotator_build_info{version="1.2.3"}'] == 1


def names_in(text: str) -> set[str]:
    """Return the names of the metrics that are described."""
    return {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool on PATH")
def test_names_and_descriptions_are_as_prometheus_recommends() -> None:
    """Units, `_total` for counters, a description for each: promtool finds nothing to say."""
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exported(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_each_description_ends_in_its_scope() -> None:
    """Which decides whether daemons are to be added up."""
    lines = [line.split(maxsplit=3) for line in exported().splitlines() if "# HELP" in line]
    scopes = {name: text.rpartition(" (")[2].removesuffix(")") for _, _, name, text in lines}

    assert {name for name, scope in scopes.items() if scope == Scope.DAEMON} == OWN_NAMES
    assert {name for name, scope in scopes.items() if scope == Scope.LEDGER} == LEDGER_NAMES


def test_label_sets_of_counters_begin_at_zero() -> None:
    """So that the first failure is an increase."""
    found = samples(made("a"))

    for outcome in ("completed", "failed", "refused"):
        assert found[f'rotator_rotations_total{{account="a",outcome="{outcome}"}}'] == 0
    created = 'rotator_api_requests_total{api="vonage",code="201",operation="secrets.create"}'
    assert found[created] == 0


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
    metrics.watch(["a"], tuple)
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


def test_without_the_ledger_there_are_no_gauges_of_it() -> None:
    """Rather none than half of them or old ones; what this process counted is there."""
    metrics = Metrics("x")

    def away() -> Iterator[str]:
        yield "half 1.0\n"
        raise LedgerError

    metrics.watch(["a"], away)
    found = samples(metrics)

    assert "half" not in found
    assert found['rotator_rotations_total{account="a",outcome="completed"}'] == 0


def test_what_a_daemon_does_not_know_of_itself_is_absent() -> None:
    """Neither a component that was not tried, nor the end of a token that has none."""
    found = samples(made("a"))

    unknown = OWN_NAMES - {"rotator_build_info", "rotator_rotations_total"}
    gauges = {name for name in unknown if not name.endswith(("_total", "duration_seconds"))}
    assert not [name for name in found if name.partition("{")[0] in gauges]


def test_what_a_daemon_knows_of_itself_is_told() -> None:
    """As it is when it is asked."""
    metrics = made("a")
    vitals = Vitals(
        components={"vault": False, "ledger": True},
        polled_at=NOW,
        poll=timedelta(seconds=15),
        configured_at=NOW - timedelta(days=1),
        is_newer_refused=True,
        token_expires_at=NOW + timedelta(hours=1),
        token_lifetime=timedelta(hours=12),
    )
    metrics.set_vitals(lambda: vitals)
    found = samples(metrics)

    at = NOW.timestamp()
    expected = {
        'rotator_up{component="vault"}': 0,
        'rotator_up{component="ledger"}': 1,
        "rotator_last_poll_timestamp_seconds": at,
        "rotator_poll_interval_seconds": 15,
        "rotator_config_last_reload_success_timestamp_seconds": at - 86400,
        "rotator_config_last_reload_successful": 0,
        "rotator_vault_token_expiry_timestamp_seconds": at + 3600,
        "rotator_vault_token_lifetime_seconds": 43200,
    }
    assert expected.items() <= found.items()
    assert 'rotator_up{component="vonage"}' not in found


def test_a_balance_is_kept_with_the_time_of_its_reading() -> None:
    """Until the account is configured no more; of one that is not configured, never."""
    metrics, before = made("a", "b"), datetime.now(UTC).timestamp()
    for name in ("a", "b", "gone"):
        metrics.balance_read(name, Decimal("12.34"))
    metrics.watch(["a"], tuple)
    found = {name: value for name, value in samples(metrics).items() if "balance" in name}

    assert set(found) == {
        'rotator_account_balance_euros{account="a"}',
        'rotator_account_balance_timestamp_seconds{account="a"}',
    }
    assert found['rotator_account_balance_euros{account="a"}'] == 12.34
    assert found['rotator_account_balance_timestamp_seconds{account="a"}'] >= before


def test_a_label_may_be_any_text() -> None:
    """Prometheus would read a bare quotation mark as its end, and drop the whole answer."""
    family = Family(name="m", meaning="What it means", scope=Scope.DAEMON)
    lines = list(family.lines([family.sample(labels(account='a"b\\c\nd'), 1)]))

    assert lines == [
        "# HELP m What it means (per daemon)\n",
        "# TYPE m gauge\n",
        'm{account="a\\"b\\\\c\\nd"} 1.0\n',
    ]


def test_what_is_rendered_is_what_prometheus_reads() -> None:
    """Its own parser finds every family, with its kind."""
    kinds = {each.name: each.type for each in text_string_to_metric_families(exported())}

    assert kinds["rotator_rotations"] == "counter"
    assert kinds["rotator_account_held"] == "gauge"
    assert kinds["rotator_rotation_duration_seconds"] == "histogram"
