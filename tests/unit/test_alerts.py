"""The alert rules and the dashboard, evaluated by Prometheus itself on what `/metrics` serves."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from rotator.model import Account, State, Step
from rotator.reporting.gauges import AccountGauges
from rotator.rotation import window
from rotator.rotation.ports import AccountSummary
from tests.support.exported_metrics import (
    DAY,
    HOLD,
    HOUR,
    KNOWN,
    MINUTE,
    NOW,
    SHUT,
    WAITING,
    exported,
    gauge_text,
    summary,
    trouble,
)
from tests.support.promtool import OPS, failures, run, samples_in, scraped
from tests.support.samples import account, next_due, policy, rotation

pytestmark = pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool on PATH")

CASES = yaml.safe_load((OPS / "alerts_test.yml").read_text())["tests"]
#: Series of the cases that others than the daemon export.
OTHERS = ("up", "rotator_ledger_verify_exit_code", "rotator_ledger_verify_timestamp_seconds")
#: Labels of which every value is known.
CHOICES = {"state", "component", "outcome"}
#: What an operator wants to know.
ALERTS = {
    "RotatorAbsent",
    "RotatorBalanceLow",
    "RotatorBroken",
    "RotatorConfigurationRefused",
    "RotatorDaemonDown",
    "RotatorDrifted",
    "RotatorFailing",
    "RotatorGateShut",
    "RotatorHeldTooLong",
    "RotatorHookUndelivered",
    "RotatorLate",
    "RotatorLedgerUnverified",
    "RotatorLedgerVerificationFailed",
    "RotatorLedgerVerificationMissing",
    "RotatorNotPolling",
    "RotatorOutage",
    "RotatorOverdue",
    "RotatorRefused",
    "RotatorTokenNearExpiry",
    "RotatorTwoSecretsBeyondGrace",
    "RotatorUnmanaged",
}
#: Every alert that fires, at any time.
FIRING = 'count_over_time(ALERTS{alertstate="firing"}[60d])'


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    document = yaml.safe_load((OPS / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def served() -> dict[str, set[str]]:
    """Return each metric that the rules may ask for, with its labels."""
    found = {name: {"job", "instance"} for name in OTHERS}
    for name, labels, _ in samples_in(exported()):
        found[name] = set(re.findall(r'(\w+)="', labels)) | {"job", "instance"}
    return found


def test_every_trouble_has_its_alert() -> None:
    """Each has a severity, a cause and a cure; one on an account names it in both."""
    found = {rule["alert"]: rule for rule in rules()}

    assert set(found) == ALERTS
    for rule in found.values():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        for text in rule["annotations"].values() if "(account" in rule["expr"] else ():
            assert "{{ $labels.account }}" in text
        assert re.search(
            "`(rotator|systemctl) |Write a new one", rule["annotations"]["description"]
        )


@pytest.mark.parametrize("place", ["rules", "dashboard"])
def test_only_what_is_served_is_asked_for(place: str) -> None:
    """A name or a label that nobody serves would never fire, nor show anything."""
    found = [query for queries in panels().values() for query in queries]
    if place == "rules":
        found = [json.dumps(rule) for rule in rules()]
    labels_of = served()

    for expression in found:
        names = set(re.findall(r"\b(?:rotator_[a-z_]+|up(?=\{))", expression))
        used = re.findall(r"\b(?:by|on) \(([^)]*)\)", expression)
        used += re.findall(r"(\w+)(?:=|!=|=~|!~)\W*[\"%]", expression)
        used += re.findall(r"abels\.(\w+)", expression)
        words = {word for text in used for word in re.split(r"[ ,]+", text) if word}
        assert names
        assert names <= set(labels_of)
        assert words <= set.union(*(labels_of[name] for name in names)), expression


def documented() -> list[str]:
    """Return the rows of the table of metrics, as the descriptions say."""
    labels = {name: re.findall(r'(\w+)="', of) for name, of, _ in samples_in(exported())}
    rows = []
    for line in exported().splitlines():
        if found := re.fullmatch(r"# HELP (\S+) (.*) \(per (daemon|ledger)\)", line):
            name, meaning, scope = found.groups()
            of = f"{{{','.join(labels[name])}}}" if labels.get(name) else ""
            rows.append(f"| `{name}{of}` | {scope} | {meaning} |")
    return rows


def test_the_documentation_lists_each_metric_and_each_alert() -> None:
    """The metrics in the words that `/metrics` has for them."""
    text = (OPS.parent / "docs" / "operations.md").read_text()
    metrics = re.findall(r"^\| `rotator_.*\|$", text, re.MULTILINE)
    alerts = re.findall(r"^\| `(Rotator\w+)` \| (\w+) \|", text, re.MULTILINE)

    assert metrics == documented()
    assert alerts == [(rule["alert"], rule["labels"]["severity"]) for rule in rules()]


def test_prometheus_accepts_the_rules() -> None:
    """Prometheus itself takes the file."""
    assert run("check", "rules", "alerts.yml") == ""


def test_each_alert_fires_when_it_should() -> None:
    """And at no other time: the cases that operators can run themselves."""
    assert run("test", "rules", "alerts_test.yml") == ""


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """The first with its text, the second at any time or by a query for all alerts."""
    asked = [ask for case in CASES for ask in case.get("alert_rule_test", ())]
    firing = {ask["alertname"] for ask in asked if ask.get("exp_alerts")}
    silent = {ask["alertname"] for ask in asked if not ask.get("exp_alerts")}

    assert firing == silent == {rule["alert"] for rule in rules()}


def test_the_cases_are_of_series_that_are_served() -> None:
    """With exactly these labels, and those that Prometheus adds; a state is one of the states."""
    labels_of, values = served(), set[tuple[str, str]]()
    for _, labels, _ in samples_in(exported()):
        values.update(re.findall(r'(\w+)="([^"]*)"', labels))
    used = [each["series"] for case in CASES for each in case["input_series"]]

    for series in used:
        name, _, rest = series.partition("{")
        pairs = re.findall(r'(\w+)="([^"]*)"', rest)
        assert {label for label, _ in pairs} == labels_of[name], series
        assert {pair for pair in pairs if pair[0] in CHOICES} <= values, series


# --- the life of accounts ---

#: The time between two scrapes. What Prometheus got longer ago is stale.
SCRAPE = 5 * MINUTE


class Life:
    """What the ledger knows of an account that is rotated as soon as its policy allows."""

    def __init__(self, configured: Account, created_at: datetime, *, is_idle: bool = False) -> None:
        """Begin with a secret that was created then; `is_idle` for one that nobody rotates."""
        self.account = configured
        self._is_idle = is_idle
        self._created_at = created_at
        self._next_due_at = next_due(configured, created_at)
        self._summary = self._of(closed_at=created_at)

    def at(self, now: datetime, **known: Any) -> AccountSummary:  # noqa: ANN401  # of `AccountSummary`
        """Return the summary at `now`, with what else is known."""
        opened = self._summary.last_rotation
        if not self._is_idle and opened and opened.closed_at is None:
            deletion_at = window.deletion_at(self.account.policy, opened)
            if deletion_at and now > deletion_at:
                self._summary = self._of(closed_at=now)
        elif not self._is_idle and now > self._next_due_at:
            self._created_at, self._opened_at = now, now
            self._next_due_at = next_due(self.account, now)
            self._summary = self._of(closed_at=None)
        return replace(self._summary, **known) if known else self._summary

    def _of(self, *, closed_at: datetime | None) -> AccountSummary:
        name, is_open = self.account.name, closed_at is None
        last = rotation(
            account=name,
            step=Step.WAIT if is_open else Step.COMPLETE,
            opened_at=self._created_at,
            grace=self.account.policy.grace,
            verified_at=self._created_at,
            closed_at=closed_at,
            outcome=None if is_open else "completed",
        )
        return summary(
            name,
            listed_ids=("new", "old") if is_open else ("new",),
            current_since=self._created_at,
            next_due_at=self._next_due_at,
            last_rotation=last,
            seen_at=self._created_at,
        )


def lived(lives: dict[str, Life], length: timedelta, **known: dict[str, Any]) -> Iterator[str]:
    """Yield what is scraped of these lives, by name, with what else is known of each."""
    gauges = AccountGauges([life.account for life in lives.values()])
    now = NOW
    while now <= NOW + length:
        found = {name: life.at(now, **known.get(name, {})) for name, life in lives.items()}
        text = "".join(gauges.lines(found, now))
        yield f'{text}rotator_build_info{{version="1"}} 1.0\n'
        now += SCRAPE


def test_nothing_alerts_while_all_is_well(tmp_path: Path) -> None:
    """In a day of grace, in a grace of four days, with a weekly window, and while one is held."""
    lives = {
        "daily": Life(account("daily", policy=policy(every=2 * DAY)), NOW - DAY),
        "slow": Life(account("slow", policy=policy(every=5 * DAY, grace=4 * DAY)), NOW - 4 * DAY),
        # Due by its age days before its window opens.
        "weekly": Life(
            account("weekly", policy=policy(every=3 * DAY, window=("sun 02:00-05:00",))),
            NOW - 2 * DAY,
        ),
        "held": Life(account("held"), NOW - 29 * DAY, is_idle=True),
    }
    held = {"hold": replace(HOLD, at=NOW)}
    texts = list(lived(lives, 6 * DAY + 20 * HOUR, held=held))
    case = {
        "interval": "5m",
        "input_series": scraped(texts, start=NOW, instances="ab"),
        "promql_expr_test": [{"expr": FIRING, "eval_time": "164h"}],
    }

    assert failures(tmp_path, case) == ""
    # Not for want of anything to happen.
    for name, state in (("daily", "waiting"), ("slow", "waiting"), ("weekly", "waiting")):
        assert any(f'{{account="{name}",state="{state}"}} 1.0' in text for text in texts)


def test_what_is_late_alerts_until_it_is_overdue(tmp_path: Path) -> None:
    """Due and not begun: a quarter of an hour is allowed; older than max_age is an alert itself."""
    late = account("late", policy=policy(every=30 * DAY, max_age=31 * DAY))
    lives = {"late": Life(late, NOW - 30 * DAY + HOUR, is_idle=True)}
    series = scraped(lived(lives, 2 * DAY), start=NOW, instances="ab")
    asked = {
        ("RotatorLate", "1h25m"): 0,
        ("RotatorLate", "1h35m"): 1,
        ("RotatorOverdue", "24h"): 0,
        ("RotatorOverdue", "26h"): 1,
        ("RotatorLate", "26h"): 0,
    }
    case = {
        "interval": "5m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}})',
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": count}] if count else [],
            }
            for (name, at), count in asked.items()
        ],
    }

    assert failures(tmp_path, case) == ""


#: What is known of an account for which exactly this alert is to fire.
WRONG: dict[str, dict[str, Any]] = {
    "RotatorBroken": {"trouble": trouble(State.BROKEN, "credential-dead"), "failures": 9},
    "RotatorDrifted": {"trouble": trouble(State.DRIFTED, "foreign-secret"), "failures": 9},
    "RotatorRefused": {"trouble": trouble(State.REFUSED, "pending-unknown"), "failures": 9},
    "RotatorFailing": {"failure": trouble(State.FAILING, "store-sealed"), "failures": 3},
    "RotatorHeldTooLong": {"hold": replace(HOLD, at=NOW - 8 * DAY)},
    "RotatorUnmanaged": {"current_id": None, "is_managed": False, "last_rotation": None},
    "RotatorTwoSecretsBeyondGrace": {"listed_ids": ("new", "other")},
    "RotatorGateShut": {"last_rotation": replace(WAITING, waiting=SHUT)},
    "RotatorLate": {"next_due_at": NOW - DAY},
    "RotatorOverdue": {"current_since": NOW - 46 * DAY, "next_due_at": NOW - 16 * DAY},
}


def test_what_is_wrong_alerts_once_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    """However many daemons serve it, and no other alert comes with it."""
    lives = {name: Life(account(name), NOW - DAY, is_idle=True) for name in WRONG}
    series = scraped(lived(lives, 2 * DAY + HOUR, **WRONG), start=NOW, instances="ab")
    case = {
        "interval": "5m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": 'count by (alertname, account) (ALERTS{alertstate="firing"})',
                "eval_time": "49h",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}",account="{name}"}}', "value": 1}
                    for name in WRONG
                ],
            },
        ],
    }

    assert failures(tmp_path, case) == ""


def test_what_someone_else_broke_is_broken_and_drift(tmp_path: Path) -> None:
    """One alert, by its state; the metric of drift shows it all the same."""
    known = {
        "drifted": WRONG["RotatorDrifted"],
        "broken": {"trouble": trouble(State.BROKEN, "drift")},
        "refused": WRONG["RotatorRefused"],
        "fine": {},
    }
    lives = {name: Life(account(name), NOW - DAY, is_idle=True) for name in known}
    asked = {
        "max by (account) (rotator_account_drift) == 1": ["drifted", "broken"],
        'count by (account) (ALERTS{alertname="RotatorDrifted"})': ["drifted"],
        'count by (account) (ALERTS{alertname="RotatorBroken"})': ["broken"],
    }
    case = {
        "interval": "5m",
        "input_series": scraped(lived(lives, HOUR, **known), start=NOW, instances="ab"),
        "promql_expr_test": [
            {
                "expr": query,
                "eval_time": "1h",
                "exp_samples": [{"labels": f'{{account="{each}"}}', "value": 1} for each in names],
            }
            for query, names in asked.items()
        ],
    }

    assert failures(tmp_path, case) == ""


# --- the dashboard ---


def panels() -> dict[str, list[str]]:
    """Return the queries of each panel of the dashboard."""
    found = json.loads((OPS / "grafana-dashboard.json").read_text())["panels"]
    return {panel["title"]: [each["expr"] for each in panel["targets"]] for panel in found}


def test_a_state_is_counted_for_as_long_as_it_lasts(tmp_path: Path) -> None:
    """From the next scrape on the account counts elsewhere, and no account at all is a 0."""
    known = [{}, {}, KNOWN[State.BROKEN], KNOWN[State.BROKEN], KNOWN[State.HELD], KNOWN[State.HELD]]
    texts = [gauge_text([account("a")], summary("a", **each)) for each in known]
    [broken], [by_state] = panels()["Broken"], panels()["Accounts by state"]
    asked = {"5m": {"healthy": 1}, "10m": {"broken": 1}, "20m": {"held": 1}}
    case = {
        "interval": "5m",
        "input_series": scraped(texts, start=NOW, instances="ab"),
        "promql_expr_test": [
            {
                "expr": broken,
                "eval_time": at,
                "exp_samples": [{"labels": "{}", "value": states.get("broken", 0)}],
            }
            for at, states in asked.items()
        ]
        + [
            {
                "expr": by_state,
                "eval_time": at,
                "exp_samples": [
                    {"labels": f'{{state="{state}"}}', "value": count}
                    for state, count in states.items()
                ],
            }
            for at, states in asked.items()
        ]
        # Nothing is known: neither is it that none is broken.
        + [{"expr": broken, "eval_time": "60m"}],
    }

    assert failures(tmp_path, case) == ""


#: Panels of what the daemons have done, and of the daemons themselves.
SUMS = {
    "Daemons",
    "Passes by outcome",
    "Requests",
    "Requests that did not go well",
    "Version",
}


def test_no_panel_counts_anything_twice(tmp_path: Path) -> None:
    """Two daemons show the same as one, except for what each has done."""
    one, two = (counted(tmp_path, instances) for instances in ("a", "ab"))
    different = {title for title in one if one[title] != two[title]}

    assert different == SUMS
    for title in different:
        assert two[title] == [[2 * value for value in target] for target in one[title]]
    # Each panel shows something in such a world.
    assert all(any(target) for target in one.values())


def counted(folder: Path, instances: str) -> dict[str, list[list[float]]]:
    """Return the values that each panel's queries have with these daemons.

    By promtool's complaint that it expected none.
    """
    series = scraped([exported()] * 31, start=NOW, instances=instances)
    for each in series:
        if re.match(r"\w+(_total|_bucket)\b", each["series"]):
            each["values"] = "0+60x30"
    queries = [query for queries in panels().values() for query in queries]
    tests = [{"expr": query, "eval_time": "30m"} for query in queries]
    case = {"interval": "1m", "input_series": series, "promql_expr_test": tests}
    complaints = failures(folder, case).split("    expr: ")[1:]
    found: dict[str, list[float]] = {}
    for query, complaint in zip(queries, complaints, strict=True):
        assert complaint.startswith(json.dumps(query)), complaint
        got = complaint.rpartition("got:")[2]
        found[query] = sorted(map(float, re.findall(r" ([-+.E\dNaIf]+)(?:,|\s*$)", got)))
    return {title: [found[query] for query in queries] for title, queries in panels().items()}
