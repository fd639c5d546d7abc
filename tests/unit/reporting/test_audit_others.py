"""What a report says of others: their secrets, broken consumers, and what became of requests."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rotator.model.times import rfc3339
from rotator.reporting.audit import AccountReport, Report
from rotator.reporting.audit_data import document, revoked
from rotator.reporting.audit_html import page
from rotator.reporting.audit_records import AuditEvent, Revocation, Sighting
from rotator.reporting.audit_sheet import sheet
from tests.support.audit_samples import DAY, NOW, PERIOD, entry, made, rotation, seen

BEGUN = rotation(NOW - 80 * DAY, "s1", "s2")


def whole(account: AccountReport) -> Report:
    """Return the report on one account alone."""
    return Report(period=PERIOD, made_at=NOW, version="1", accounts=(account,))


@pytest.mark.parametrize("looked_at", [NOW - 2 * DAY, NOW - DAY, NOW])
def test_what_others_revoke_is_dated_by_the_first_look_that_shows_it(looked_at: datetime) -> None:
    """No later look at the account moves that time."""
    gone = entry(NOW - 3 * DAY, "secret-vanished", secret_id="s2")
    report = made(*BEGUN, gone, summary=seen("s9", at=looked_at, current_id=None))
    (use,) = [each for each in report.uses if each.secret_id == "s2"]

    assert (use.is_live, use.revocation) == (
        False,
        Revocation(secret_id="s2", at=NOW - 3 * DAY, by="someone else", how="found gone"),
    )
    assert report.sightings == (Sighting(at=NOW - 3 * DAY, secret_id="s2", what="vanished"),)


def test_what_an_older_version_saw_vanish_has_no_time() -> None:
    """No entry has it, and the newest look is not when it was revoked."""
    report = made(*BEGUN, summary=seen("s9", at=NOW - DAY, current_id=None))
    (use,) = [each for each in report.uses if each.secret_id == "s2"]

    assert (use.is_live, use.revocation) == (False, None)
    assert revoked(use) == "gone: by whom and when is not recorded"


def test_a_secret_that_comes_back_was_not_revoked() -> None:
    """Both looks are in the report."""
    report = made(
        *BEGUN,
        entry(NOW - 3 * DAY, "secret-vanished", secret_id="s2"),
        entry(NOW - 2 * DAY, "secret-appeared", secret_id="s2"),
        summary=seen("s2", current_id="s2", current_since=NOW - 80 * DAY),
    )

    assert [use.is_live for use in report.uses if use.secret_id == "s2"] == [True]
    assert "s2" not in {each.secret_id for each in report.revocations}
    assert [each.what for each in report.sightings] == ["vanished", "appeared"]


def test_a_secret_that_vanishes_after_a_lost_answer_was_deleted_by_hand() -> None:
    """Its deletion had begun: it is nobody else's work."""
    report = made(
        *BEGUN,
        entry(NOW - 3 * DAY, "intent", operation="delete", secret_id="x9"),
        entry(NOW - 3 * DAY, "unknown", operation="delete", secret_id="x9"),
        entry(NOW - 2 * DAY, "secret-vanished", secret_id="x9"),
    )
    (found,) = [each for each in report.revocations if each.secret_id == "x9"]

    assert (found.at, found.by, found.how) == (NOW - 2 * DAY, "operator", "by hand")
    assert report.sightings == ()


def test_a_sighting_that_names_no_secret_is_left_out() -> None:
    """Somebody else may have written it."""
    changed = entry(NOW - DAY, "secret-vanished", secret_id=5)

    assert made(*BEGUN, changed).sightings == ()


def test_a_live_secret_of_others_says_since_when_it_is_known() -> None:
    """In every format, with its whole id."""
    appeared = entry(NOW - 4 * DAY, "secret-appeared", secret_id="x9")
    report = whole(made(*BEGUN, appeared, summary=seen("s2", "x9", current_id="s2")))
    (told,) = document(report)["accounts"]
    at = rfc3339(NOW - 4 * DAY)

    assert [each["first_seen_at"] for each in told["present"]["live_secrets"]] == [None, at]
    assert told["sightings"] == [{"at": at, "secret_id": "x9", "what": "appeared", "origin": None}]
    assert {line.split(",")[0] for line in sheet(report).splitlines() if f",{at}," in line} == {
        "sighting",
        "live secret",
    }
    assert "Secrets that others made or revoked" in page(report)


def test_a_report_says_who_made_and_revoked_what_others_did() -> None:
    """As far as Vonage has told, in every format; of a sighting before the period nothing."""
    made_by, revoked_by = "made in Vonage's dashboard by ann", "revoked through Vonage's API"
    entries = [
        entry(NOW - 4 * DAY, "secret-appeared", secret_id="x8"),
        entry(NOW - 4 * DAY, "secret-appeared", secret_id="x9"),
        entry(NOW - 4 * DAY, "secret-explained", secret_id="x8", why=made_by),
        entry(NOW - 3 * DAY, "secret-vanished", secret_id="x8"),
        entry(NOW - 3 * DAY, "secret-explained", secret_id="x8", why=revoked_by),
        entry(NOW - 2 * DAY, "secret-explained", secret_id="x9", why=made_by),
        entry(NOW - 2 * DAY, "secret-explained", secret_id="x7", why=made_by),
    ]
    report = whole(made(*BEGUN, *entries, summary=seen("s2", "x9", current_id="s2")))
    (told,) = document(report)["accounts"]
    sightings = [(each["secret_id"], each["origin"]) for each in told["sightings"]]

    assert sightings == [("x8", made_by), ("x9", made_by), ("x8", revoked_by)]
    assert told["present"]["live_secrets"][1]["origin"] == made_by
    assert sheet(report).count(made_by) == 3
    assert page(report).count(revoked_by.replace("'", "&#39;")) == 1


@pytest.mark.parametrize("minutes", [5, 90])
def test_an_account_that_was_broken_is_not_within_policy(minutes: int) -> None:
    """However short that was; the time is counted."""
    began = NOW - 5 * DAY
    account = made(
        *rotation(NOW - 40 * DAY, "s1", "s2", since=rfc3339(NOW - 70 * DAY)),
        entry(began, "trouble", state="broken", code="drift", why="Vonage refuses it"),
        entry(began + timedelta(minutes=minutes), "trouble-over"),
        summary=seen("s2", current_id="s2", current_since=NOW - 40 * DAY),
    )
    report = whole(account)

    assert (account.broken, account.verdicts) == (timedelta(minutes=minutes), ("was broken",))
    assert document(report)["summary"]["was_broken"] == 1
    assert document(report)["summary"]["within_policy"] == 0
    assert document(report)["accounts"][0]["broken_seconds"] == minutes * 60
    assert "was broken" in page(report)
    assert "was broken" in sheet(report)


def test_only_the_part_of_the_period_counts_as_broken() -> None:
    """It may have begun before, and not be over."""
    began = PERIOD.since - DAY
    report = made(entry(began, "trouble", state="broken", code="drift", why=""))

    assert report.broken == PERIOD.until - PERIOD.since


ASKED = entry(NOW - DAY, "requested", operation="rotate", by="ann")


@pytest.mark.parametrize(
    ("events", "outcome", "code"),
    [
        ([], None, None),
        ([entry(NOW, "refused", code="drift")], "refused", "drift"),
        ([entry(NOW, "failed", code="vault-sealed")], "failed", "vault-sealed"),
        (
            [entry(NOW, "not-begun", operation="rotate", outcome="refused", code="in-grace")],
            "refused",
            "in-grace",
        ),
        (
            [
                entry(NOW, "opened", "open", rotation="r9", reason="asked"),
                entry(NOW, "refused", rotation="r9", code="foreign-secret"),
            ],
            "refused",
            "foreign-secret",
        ),
        (
            [
                entry(NOW, "opened", "open", rotation="r9", reason="asked"),
                entry(NOW, "closed", "abort", rotation="r9", outcome="failed", code="x"),
            ],
            "failed",
            "x",
        ),
        # What a daemon comes to later is no answer to a person.
        (
            [
                entry(NOW, "opened", "open", rotation="r9", reason="asked"),
                entry(NOW, "done", "verify", rotation="r9"),
                entry(NOW, "refused", rotation="r9", code="drift"),
            ],
            "done",
            None,
        ),
        # The grace of a rotation was ended.
        ([entry(NOW, "closed", "complete", rotation="r9", outcome="completed")], "done", None),
    ],
)
def test_what_became_of_a_rotation_that_was_asked_for(
    events: list[AuditEvent], outcome: str | None, code: str | None
) -> None:
    """The act has it, with the code of a refusal or a failure."""
    account = made(ASKED, *[replace(each, at=NOW - timedelta(hours=1)) for each in events])
    report = whole(account)
    (told,) = document(report)["accounts"][0]["acts"]
    (act,) = account.acts

    assert (act.outcome, act.code) == (outcome, code)
    assert (told["outcome"], told["code"]) == (outcome, code)
    assert not code or f"{outcome} ({code})" in page(report)
    assert not code or f"{outcome},{code}" in sheet(report)


def test_a_refusal_without_a_request_is_nobodys_act() -> None:
    """Daemons are refused, too."""
    report = made(entry(NOW - DAY, "refused", code="drift"))

    assert report.acts == ()


def test_an_operation_by_hand_that_was_refused_says_so() -> None:
    """It is an act alone: nothing was done by hand."""
    report = made(
        entry(NOW - DAY, "requested", operation="delete", by="ann", secret_id="s2"),
        entry(NOW - DAY, "not-begun", operation="delete", outcome="refused", code="unsafe-delete"),
    )
    (act,) = report.acts

    assert (act.outcome, act.code, act.facts) == ("refused", "unsafe-delete", {"secret_id": "s2"})
    assert report.manual_actions == ()


def test_requests_that_are_one_rotation_have_each_their_outcome() -> None:
    """A leak is reported several times; what is refused is one request of them."""
    names = ("a", "b", "c")
    asked = {"operation": "rotate", "reason": "compromised", "by": "trigger"}
    refused = {"operation": "rotate", "outcome": "refused", "code": "held"}
    report = made(
        *(entry(NOW - DAY, "requested", trigger=name, **asked) for name in names),
        entry(NOW - DAY, "opened", "open", rotation="r", reason="compromised"),
        entry(NOW - DAY, "done", "verify", rotation="r"),
        entry(NOW - DAY, "carried-out", rotation="r", trigger="a"),
        entry(NOW - DAY, "not-begun", trigger="b", **refused),
        entry(NOW - DAY, "carried-out", rotation="r", trigger="c"),
    )

    outcomes = [(act.facts["trigger"], act.outcome, act.code) for act in report.acts]
    assert outcomes == [("a", "done", None), ("b", "refused", "held"), ("c", "done", None)]
