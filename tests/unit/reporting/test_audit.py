import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from rotator.model import State, Step, Trouble
from rotator.model.rotation import SecretRole
from rotator.reporting.audit import AccountReport, Report
from rotator.reporting.audit_data import document
from rotator.reporting.audit_events import is_needed
from rotator.reporting.audit_html import page
from rotator.reporting.audit_records import (
    Act,
    AuditEvent,
    FailureGroup,
    HoldPeriod,
    LiveSecret,
    Period,
    Revocation,
    SecretUse,
    TroublePeriod,
)
from rotator.reporting.audit_sheet import sheet
from rotator.rotation.ports import AccountSummary
from tests.support import samples
from tests.support.audit_samples import DAY, NOW, PERIOD, entry, made, rotation, seen


def test_secrets_follow_one_another() -> None:
    """Each is in use from when its rotation was verified until the next one's was."""
    first, second = NOW - 80 * DAY, NOW - 50 * DAY
    report = made(
        *rotation(first, "s1", "s2", since="2026-06-23T00:00:00Z"), *rotation(second, "s2", "s3")
    )

    assert [(each.secret_id, each.since, each.until) for each in report.uses] == [
        ("s1", datetime(2026, 6, 23, tzinfo=UTC), first),
        ("s2", first, second),
        ("s3", second, None),
    ]
    assert [each.outcome for each in report.rotations] == ["completed", "completed"]
    assert [(each.old_id, each.new_id) for each in report.rotations] == [("s1", "s2"), ("s2", "s3")]


@pytest.mark.parametrize(
    ("made_days_ago", "age", "overdue", "verdict"),
    [
        (10, 10, 0, "within policy"),
        (45, 45, 0, "within policy"),
        (46, 46, 1, "overdue"),
        # Overdue before the period began: only the period counts.
        (200, 200, 90, "overdue"),
    ],
)
def test_a_secret_older_than_the_policy_allows_is_overdue(
    made_days_ago: int, age: int, overdue: int, verdict: str
) -> None:
    """For as long of the period as it was in use and too old."""
    current = seen("s1", current_id="s1", current_since=NOW - made_days_ago * DAY)
    report = made(summary=current)

    assert (report.oldest, report.overdue) == (age * DAY, overdue * DAY)
    assert report.verdict == verdict


def test_a_rotation_ends_being_overdue() -> None:
    """What was replaced late was overdue until then."""
    report = made(*rotation(NOW - 85 * DAY, "s1", "s2"), *rotation(NOW - 10 * DAY, "s2", "s3"))

    revoked = Revocation(
        secret_id="s2", at=NOW - 10 * DAY, by="rotator", how="replaced", rotation_id="to-s3"
    )
    assert report.uses[1:] == (
        SecretUse(
            secret_id="s2",
            since=NOW - 85 * DAY,
            until=NOW - 10 * DAY,
            age=75 * DAY,
            aged_from=NOW - 85 * DAY,
            overdue=30 * DAY,
            revocation=revoked,
            is_live=False,
        ),
        SecretUse(
            secret_id="s3",
            since=NOW - 10 * DAY,
            until=None,
            age=10 * DAY,
            aged_from=NOW - 10 * DAY,
        ),
    )


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        # Never seen, or replaced before anyone wrote down how old it was.
        ({}, "not known"),
        ({"events": rotation(NOW - DAY, "s1", "s2")}, "not known"),
        (
            {
                "account": None,
                "summary": seen("s1", current_id="s1", current_since=NOW - DAY),
            },
            "no policy",
        ),
    ],
)
def test_what_is_not_known_is_not_called_well(known: dict[str, Any], verdict: str) -> None:
    """Evidence claims no more than the ledger has."""
    assert made(**known).verdict == verdict


def test_only_the_period_counts() -> None:
    """What was over before, or came after, is left out; what reached into it is not."""
    events = [
        *rotation(NOW - 100 * DAY, "s1", "s2"),
        entry(NOW - 95 * DAY, "refused", code="old", why=""),
        entry(NOW - 91 * DAY, "opened", "open", rotation="long", reason="due"),
        entry(NOW - 89 * DAY, "closed", "abort", rotation="long", outcome="failed", code="x"),
        *rotation(NOW + DAY, "s2", "s3"),
        entry(NOW + DAY, "held", reason="later", by="ann", freeze=False),
    ]
    report = made(*events)

    assert [each.id for each in report.rotations] == ["long"]
    assert [each.secret_id for each in report.uses] == ["s2"]
    assert (report.failures, report.holds) == ((), ())


def test_the_same_refusal_again_is_counted() -> None:
    """A daemon that tries again makes no page longer."""
    events = [entry(NOW - day * DAY, "refused", code="drift", why="w") for day in (9, 8, 7)]
    report = made(*events, entry(NOW - DAY, "failed", code="vault-unavailable"))

    assert report.failures == (
        FailureGroup(
            event="refused",
            code="drift",
            why="w",
            count=3,
            first_at=NOW - 9 * DAY,
            last_at=NOW - 7 * DAY,
        ),
        FailureGroup(
            event="failed",
            code="vault-unavailable",
            why="",
            count=1,
            first_at=NOW - DAY,
            last_at=NOW - DAY,
        ),
    )


def test_a_hold_lasts_until_it_is_released_or_replaced() -> None:
    """Who held what and why, and who ended that; one that is still there has no end."""
    report = made(
        entry(NOW - 99 * DAY, "held", reason="a", by="ann", freeze=False),
        entry(NOW - 80 * DAY, "held", reason="b", by="bob", freeze=True),
        entry(NOW - 70 * DAY, "released", reason="b", by="eve", held_by="bob"),
        entry(NOW - DAY, "held", reason="c", by="ann", freeze=False),
    )
    first = HoldPeriod(
        reason="a",
        by="ann",
        freeze=False,
        since=NOW - 99 * DAY,
        until=NOW - 80 * DAY,
        ended_by="bob",
    )

    assert report.holds == (
        first,
        HoldPeriod(
            reason="b",
            by="bob",
            freeze=True,
            since=NOW - 80 * DAY,
            until=NOW - 70 * DAY,
            ended_by="eve",
        ),
        replace(first, reason="c", since=NOW - DAY, until=None, ended_by=None),
    )


def test_what_was_done_by_hand_is_told() -> None:
    """A secret made or deleted with `rotator secrets`, with what became of it."""
    report = made(
        entry(NOW - DAY, "intent", operation="delete", secret_id="s1", by="operator"),
        entry(NOW - DAY, "unknown", operation="delete", secret_id="s1", by="operator", code="x"),
    )

    assert [
        (action.operation, action.secret_id, action.outcome) for action in report.manual_actions
    ] == [("delete", "s1", "unknown")]
    assert report.rotations == ()


@pytest.mark.parametrize("odd", [7, {"a": 1}, ["x"], "yesterday", "9999-12-31T23:59:59Z"])
def test_what_was_tampered_with_ends_no_report(odd: Any) -> None:  # noqa: ANN401  # any JSON
    """Whatever an entry holds, the report is made: it has to say that the ledger is not whole."""
    facts = dict.fromkeys(("reason", "predecessor_id", "predecessor_since"), odd)
    events = [
        entry(NOW - 2 * DAY, "opened", "open", rotation="r", **facts),
        entry(NOW - DAY, "done", "create", rotation="r", secret_id=odd, operation=odd),
        entry(NOW - DAY, "done", "verify", rotation="r"),
        entry(NOW - DAY, "closed", "complete", rotation="r", outcome=odd, code=odd),
        entry(NOW - DAY, "held", reason=odd, by=odd, freeze=odd),
        entry(NOW - DAY, "failed", code=odd, why=odd),
        entry(NOW - DAY, "trouble", code=odd, why=odd, state=odd),
        entry(
            NOW - DAY,
            "requested",
            operation=odd,
            by=odd,
            because=odd,
            secret_id=odd,
            **{"from": odd},
        ),
        entry(NOW - DAY, "released", reason=odd, by=odd),
        entry(NOW - DAY, "done", "delete", rotation="r", secret_id=odd),
        entry(NOW - DAY, "done", "push", operation="adopt", secret_id=odd),
        replace(entry(NOW - DAY, "refused"), at=datetime(2026, 9, 30)),  # noqa: DTZ001
    ]
    report = made(*events)
    whole = Report(period=PERIOD, made_at=NOW, version="1", accounts=(report,))

    assert [each.id for each in report.rotations] == ["r"]
    assert len(report.failures) == 1
    assert document(whole)["accounts"][0]["name"] == "a"
    assert page(whole)
    assert sheet(whole)


def test_what_was_learned_counts() -> None:
    """Where an answer was lost, the look after it told the ids."""
    report = made(
        entry(NOW - DAY, "opened", "open", rotation="r", reason="asked", predecessor_id=None),
        entry(NOW - DAY, "learned", "open", rotation="r", predecessor_id="s1"),
        entry(NOW - DAY, "learned", "push", rotation="r", secret_id="s2", vault_version=2),
    )

    assert [(each.old_id, each.new_id, each.outcome) for each in report.rotations] == [
        ("s1", "s2", None)
    ]
    assert (report.count(None), report.count("completed")) == (1, 0)


# -- What became of each secret. -----------------------------------------------------------


def test_each_secret_says_when_it_was_revoked() -> None:
    """A predecessor by its deletion; the current one is still live."""
    events = [*rotation(NOW - 80 * DAY, "s1", "s2"), *rotation(NOW - 50 * DAY, "s2", "s3")]
    report = made(*events, summary=seen("s3", current_id="s3"))

    assert [
        (each.secret_id, each.revocation and (each.revocation.at, each.revocation.by), each.is_live)
        for each in report.uses
    ] == [
        ("s1", (NOW - 80 * DAY, "rotator"), False),
        ("s2", (NOW - 50 * DAY, "rotator"), False),
        ("s3", None, True),
    ]
    assert [(each.secret_id, each.how) for each in report.revocations] == [
        ("s1", "replaced"),
        ("s2", "replaced"),
    ]


def test_what_was_revoked_after_the_period_was_live_at_its_end() -> None:
    """Evidence for a quarter does not change with what is deleted in the next."""
    period = Period(since=NOW - 90 * DAY, until=NOW - 60 * DAY)
    events = [*rotation(NOW - 80 * DAY, "s1", "s2"), *rotation(NOW - 50 * DAY, "s2", "s3")]
    report = made(*events, period=period, summary=seen("s3", current_id="s3"))

    assert [(each.secret_id, each.is_live) for each in report.uses] == [("s1", False), ("s2", True)]
    assert [each.secret_id for each in report.revocations] == ["s1"]


def deletion(event: str, secret_id: str = "s1", **detail: Any) -> AuditEvent:  # noqa: ANN401  # any JSON
    """Make an entry of the deletion that rotation `r` makes of its predecessor."""
    return entry(NOW - DAY, event, "delete", rotation="r", secret_id=secret_id, **detail)


OPENED = entry(NOW - 3 * DAY, "opened", "open", rotation="r", reason="due", predecessor_id="s1")
CREATED = entry(NOW - 3 * DAY, "done", "create", rotation="r", secret_id="s2")
VERIFIED = entry(NOW - 3 * DAY, "done", "verify", rotation="r")
CLOSED = entry(NOW - DAY, "closed", "complete", rotation="r", outcome="completed", code=None)


@pytest.mark.parametrize(
    ("deletions", "by", "how"),
    [
        ((deletion("intent"), deletion("done")), "rotator", "replaced"),
        # The answer was lost, and the next list lacked it.
        ((deletion("intent"), deletion("unknown", code="timeout")), "rotator", "replaced"),
        # It was gone before anything was sent.
        ((), "someone else", "found gone"),
        ((deletion("intent"), deletion("withdrawn", code="held")), "someone else", "found gone"),
    ],
)
def test_a_revocation_names_who_did_it(deletions: tuple[Any, ...], by: str, how: str) -> None:
    """Rotator, where it began a deletion that may have taken place; else someone else."""
    report = made(OPENED, CREATED, VERIFIED, *deletions, CLOSED, summary=seen("s2"))

    assert [(each.secret_id, each.by, each.how, each.at) for each in report.revocations] == [
        ("s1", by, how, NOW - DAY)
    ]


@pytest.mark.parametrize(
    "deletions",
    [
        (deletion("intent"), deletion("done")),
        (deletion("intent"), deletion("unknown", code="timeout")),
    ],
)
def test_a_revocation_says_since_when_vonage_refuses_the_secret(
    deletions: tuple[Any, ...],
) -> None:
    """If that was proved, whatever the answer to the deletion was; on every surface."""
    at = "2026-09-30T00:00:07+00:00"
    proof = entry(NOW - DAY, "dead-after", "prove", rotation="r", secret_id="s1", dead_at=at)
    plain = made(OPENED, CREATED, VERIFIED, *deletions, CLOSED, summary=seen("s2"))
    proved = made(OPENED, CREATED, VERIFIED, *deletions, proof, CLOSED, summary=seen("s2"))

    def whole(report: AccountReport) -> Report:
        return Report(period=PERIOD, made_at=NOW, version="1", accounts=(report,))

    [revocation] = document(whole(proved))["accounts"][0]["revocations"]

    assert [each.dead_at for each in plain.revocations] == [None]
    assert revocation["dead_at"] == "2026-09-30T00:00:07Z"
    assert "2026-09-30T00:00:07Z" in sheet(whole(proved))
    assert "2026-09-30 00:00 UTC" in page(whole(proved))
    assert is_needed("dead-after", Step.PROVE)


@pytest.mark.parametrize(
    "known",
    [
        seen(),
        replace(seen(), seen_at=None),
        seen("s1", at=NOW - 81 * DAY),
        # Vonage accepted no credential.
        seen(at=NOW - DAY),
    ],
)
def test_what_was_not_looked_at_since_is_not_known(known: AccountSummary) -> None:
    """Neither live nor revoked."""
    report = made(*rotation(NOW - 80 * DAY, "s1", "s2"), summary=known)

    assert [(each.is_live, each.revocation) for each in report.uses[1:]] == [(None, None)]


def test_an_account_whose_live_secrets_are_not_known_is_not_within_policy() -> None:
    """There may be one that nobody manages."""
    events = rotation(NOW - DAY, "s1", "s2", since="2026-09-20T00:00:00Z")

    assert made(*events, summary=seen()).verdict == "not known"
    assert made(*events, summary=seen("s2", current_id="s2")).verdict == "within policy"


def test_what_was_undone_evicted_or_deleted_by_hand_is_a_revocation_of_its_own() -> None:
    """Though no consumer has used it."""
    events = [
        entry(NOW - 5 * DAY, "opened", "open", rotation="r", reason="due", predecessor_id="s1"),
        entry(NOW - 5 * DAY, "done", "evict", rotation="r", secret_id="orphan"),
        entry(NOW - 5 * DAY, "done", "create", rotation="r", secret_id="s2"),
        entry(NOW - 5 * DAY, "done", "delete", rotation="r", secret_id="s2"),
        entry(NOW - 5 * DAY, "closed", "abort", rotation="r", outcome="failed", code="x"),
        entry(NOW - 4 * DAY, "requested", operation="delete", by="ann", secret_id="s3"),
        entry(NOW - 4 * DAY, "intent", operation="delete", by="operator", secret_id="s3"),
        entry(NOW - 4 * DAY, "done", operation="delete", by="operator", secret_id="s3"),
        entry(NOW - 3 * DAY, "requested", operation="delete", by="ann", secret_id="s4"),
        entry(
            NOW - 3 * DAY, "rejected", operation="delete", secret_id="s4", code="secret-not-found"
        ),
    ]

    assert [
        (each.secret_id, each.by, each.how, each.person) for each in made(*events).revocations
    ] == [
        ("orphan", "rotator", "evicted", None),
        ("s2", "rotator", "undone", None),
        ("s3", "operator", "by hand", "ann"),
        ("s4", "someone else", "found gone", None),
    ]


def test_an_adopted_secret_is_in_use_from_its_adoption() -> None:
    """Its age counts from its creation, where that is known."""
    adopted = entry(NOW - 10 * DAY, "done", "push", operation="adopt", secret_id="s3", over=4)
    known = seen("s3", current_id="s3", current_since=NOW - 50 * DAY)
    report = made(*rotation(NOW - 80 * DAY, "s1", "s2"), adopted, summary=known)
    before, after = report.uses[1:]
    unknown = made(adopted, summary=seen("s3", "s4")).uses

    assert (before.secret_id, before.until) == ("s2", NOW - 10 * DAY)
    assert (after.secret_id, after.since, after.age) == ("s3", NOW - 10 * DAY, 50 * DAY)
    # Older than 45 days for five, all of them in use.
    assert after.overdue == 5 * DAY
    assert [(each.secret_id, each.since, each.age) for each in unknown] == [
        ("s3", NOW - 10 * DAY, None)
    ]


def test_what_a_rotation_made_and_a_person_adopted_is_one_use() -> None:
    """The adoption comes first, and the rotation goes on from there."""
    adopted = entry(NOW - 4 * DAY, "done", "push", operation="adopt", secret_id="s2", over=4)
    learned = entry(NOW - 4 * DAY, "learned", "push", rotation="r", secret_id="s2")
    opened = replace(OPENED, at=NOW - 5 * DAY)
    report = made(opened, replace(CREATED, at=NOW - 5 * DAY), adopted, learned, VERIFIED)

    assert [(each.secret_id, each.since, each.until) for each in report.uses] == [
        ("s1", None, NOW - 4 * DAY),
        ("s2", NOW - 4 * DAY, None),
    ]


def test_what_was_adopted_is_not_revoked_by_the_rotation_that_it_was_to_be_replaced_by() -> None:
    """It turned out to be the secret that the rotation had made itself."""
    learned = entry(NOW - 2 * DAY, "learned", "push", rotation="r", secret_id="s1")
    report = made(OPENED, learned, CLOSED, summary=seen("s1", current_id="s1"))

    assert (report.revocations, [each.old_id for each in report.rotations]) == ((), [None])


# -- What is now. --------------------------------------------------------------------------


def test_a_foreign_secret_is_an_unmanaged_live_credential() -> None:
    """Beside the current one, and what rotator deletes by itself."""
    current: dict[str, Any] = {"current_id": "s2", "current_since": NOW - DAY}
    events = rotation(NOW - DAY, "s1", "s2", since="2026-09-20T00:00:00Z")
    report = made(*events, summary=seen("s2", "x9", **current))
    orphan = made(*events, summary=seen("s2", "x9", **current), expendable_ids=frozenset({"x9"}))

    assert report.live == (
        LiveSecret(id="s2", role=SecretRole.CURRENT),
        LiveSecret(id="x9", role=SecretRole.FOREIGN),
    )
    assert [each.id for each in report.unmanaged] == ["x9"]
    assert report.verdicts == ("unmanaged live credential",)
    assert (orphan.unmanaged, orphan.verdict) == ((), "within policy")


def test_of_an_open_rotation_both_secrets_are_managed() -> None:
    """One is about to be deleted, the other to be used."""
    opened = samples.rotation(predecessor_id="s1", new_id="s2")
    report = made(summary=seen("s1", "s2", current_id="s1", last_rotation=opened))

    assert [each.role for each in report.live] == [SecretRole.CURRENT, SecretRole.NEW]


def test_what_was_put_into_vault_last_is_managed_while_vault_has_something_else() -> None:
    """Someone else changed the value in Vault: that makes rotator's own secret no foreign one."""
    events = rotation(NOW - DAY, "s1", "s2")
    report = made(*events, summary=seen("s2", current_id=None))

    assert (report.unmanaged, [each.is_live for each in report.uses]) == ((), [False, True])


def test_a_broken_account_is_broken() -> None:
    """With the very words of status: state, cause and cure."""
    trouble = Trouble(
        state=State.BROKEN, code="drift", why="Vonage refuses it", hint="roll back", since=NOW - DAY
    )
    current: dict[str, Any] = {"current_id": "s2", "current_since": NOW - DAY}
    report = made(
        *rotation(NOW - DAY, "s1", "s2", since="2026-09-20T00:00:00Z"),
        summary=seen("s2", "x9", **current, trouble=trouble, failures=3),
    )
    found = report.condition

    assert report.verdicts == ("broken", "unmanaged live credential")
    assert found
    assert (found.state, found.code, found.why, found.hint, found.since, found.tries) == (
        *(State.BROKEN, "drift", "Vonage refuses it", "roll back", NOW - DAY, 3),
    )
    whole = Report(period=PERIOD, made_at=NOW, version="1", accounts=(report,))
    (told,) = document(whole)["accounts"]
    assert told["present"]["hint"] == "roll back"
    assert told["present"]["observed_at"] == "2026-10-01T00:00:00Z"
    assert document(whole)["summary"] == {
        "accounts": 1,
        "within_policy": 0,
        "overdue": 0,
        "broken": 1,
        "was_broken": 0,
        "unmanaged_live_credentials": 1,
        "not_known": 0,
        "no_policy": 0,
    }


def test_without_configuration_there_is_no_state() -> None:
    """What the account's row has is shown all the same."""
    report = made(account=None, summary=seen("s1", current_id="s1"))

    assert (report.state, report.conditions, report.observed_at) == (None, (), NOW)
    assert [each.id for each in report.live] == ["s1"]


# -- What was wrong. -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["trouble", "drift"])
def test_drift_lasts_from_when_to_when(name: str) -> None:
    """By the entries of this version, and by those of older ones."""
    events = [
        entry(NOW - 9 * DAY, name, code="drift", why="w"),
        entry(NOW - 8 * DAY, name, code="foreign-secret", why="f"),
        entry(NOW - 7 * DAY, f"{name}-over"),
        entry(NOW - 2 * DAY, name, code="drift", why="again"),
    ]

    assert [
        (each.state, each.code, each.why, each.since, each.until) for each in made(*events).troubles
    ] == [
        ("drifted", "drift", "w", NOW - 9 * DAY, NOW - 8 * DAY),
        ("drifted", "foreign-secret", "f", NOW - 8 * DAY, NOW - 7 * DAY),
        ("drifted", "drift", "again", NOW - 2 * DAY, None),
    ]


def test_what_is_wrong_is_one_period_however_often_it_is_recorded() -> None:
    """With its newest cause. Its refusals are counted elsewhere."""
    events = [
        entry(NOW - 9 * DAY, "trouble", state="broken", code="drift", why="one"),
        *[entry(NOW - 8 * DAY, "refused", code="drift", why="one")] * 5,
        entry(NOW - 7 * DAY, "trouble", state="broken", code="drift", why="two"),
        entry(NOW - 6 * DAY, "trouble-over"),
    ]

    assert made(*events).troubles == (
        TroublePeriod(
            state="broken", code="drift", why="two", since=NOW - 9 * DAY, until=NOW - 6 * DAY
        ),
    )


@pytest.mark.parametrize(
    ("state", "event", "ends"),
    [
        ("refused", OPENED, True),
        ("broken", OPENED, False),
        ("drifted", CREATED, True),
        ("broken", CREATED, False),
        ("broken", VERIFIED, True),
        ("broken", CLOSED, True),
    ],
)
def test_trouble_ends_with_progress(state: str, event: Any, *, ends: bool) -> None:  # noqa: ANN401  # an event
    """What is broken, only with a value that was verified."""
    found = made(entry(NOW - 9 * DAY, "trouble", state=state, code="c", why="w"), event).troubles

    assert [each.until for each in found] == [event.at if ends else None]


def test_a_hold_or_an_age_is_no_drift() -> None:
    """Older versions recorded a secret's age as drift."""
    events = [
        entry(NOW - 9 * DAY, "refused", code="held", why="w"),
        entry(NOW - 8 * DAY, "drift", code="overdue", why="w"),
    ]

    assert made(*events).troubles == ()


def test_trouble_that_was_over_before_the_period_is_left_out() -> None:
    """What reached into it is not."""
    events = [
        entry(NOW - 99 * DAY, "trouble", code="a", why="w"),
        entry(NOW - 95 * DAY, "trouble", code="b", why="w"),
        entry(NOW - 80 * DAY, "trouble-over"),
    ]

    assert [each.code for each in made(*events).troubles] == ["b"]


# -- Who acted. ----------------------------------------------------------------------------


def test_who_acted_is_shown_with_what_became_of_it() -> None:
    """Who, from where and why; a hold with its reason."""
    person = {"by": "ann as root", "from": "host", "because": "leaked"}
    events = [
        entry(NOW - 9 * DAY, "requested", operation="rotate", reason="compromised", **person),
        entry(NOW - 9 * DAY, "opened", "open", rotation="r", reason="compromised"),
        entry(NOW - 8 * DAY, "requested", operation="create", **person),
        entry(NOW - 8 * DAY, "intent", operation="create", by="operator"),
        entry(NOW - 8 * DAY, "done", operation="create", by="operator", secret_id="s9"),
        entry(NOW - 7 * DAY, "held", reason="moving", by="ann", freeze=True, **{"from": "host"}),
        entry(NOW - 6 * DAY, "lease-ended", owner="pid 1", **person),
    ]
    signed = {"by": "ann as root", "host": "host", "because": "leaked"}

    assert made(*events).acts == (
        Act(at=NOW - 9 * DAY, operation="rotate", facts={"reason": "compromised"}, **signed),
        Act(
            at=NOW - 8 * DAY,
            operation="create",
            facts={"secret_id": "s9"},
            outcome="done",
            **signed,
        ),
        Act(
            at=NOW - 7 * DAY,
            operation="hold",
            by="ann",
            host="host",
            because="moving",
            facts={"freeze": True},
            outcome="done",
        ),
        Act(
            at=NOW - 6 * DAY,
            operation="release --lease",
            facts={"owner": "pid 1"},
            outcome="done",
            **signed,
        ),
    )


def test_what_older_versions_did_not_sign_is_shown_as_not_recorded() -> None:
    """That a person asked for it is recorded, and not who."""
    events = [
        entry(NOW - 9 * DAY, "opened", "open", rotation="r", reason="asked", grace_seconds=0),
        entry(NOW - 8 * DAY, "asked", "open", rotation="r", reason="asked", grace_seconds=60),
        entry(NOW - 7 * DAY, "opened", "open", rotation="r2", reason="due"),
        entry(NOW - 6 * DAY, "intent", operation="delete", secret_id="s1", by="operator"),
        entry(NOW - 6 * DAY, "done", operation="delete", secret_id="s1", by="operator"),
        entry(NOW - 99 * DAY, "requested", operation="rotate", by="ann"),
    ]
    report = made(*events)
    whole = Report(period=PERIOD, made_at=NOW, version="1", accounts=(report,))

    assert [(act.operation, act.by, dict(act.facts), act.outcome) for act in report.acts] == [
        ("rotate", None, {"reason": "asked", "grace_seconds": 0}, None),
        ("rotate", None, {"reason": "asked", "grace_seconds": 60}, None),
        ("delete", None, {"secret_id": "s1"}, "done"),
    ]
    assert sheet(whole).count(",not recorded,") == 3
    assert page(whole).count(">not recorded<") == 3


# -- Cost. ---------------------------------------------------------------------------------


def test_the_totals_of_many_years_are_right_and_cheap() -> None:
    """A rotation a day for thirty years, with its refusals, is read once, not once per entry."""
    days = 30 * 365
    start = NOW - days * DAY
    period = Period(since=start - DAY, until=NOW)
    events = [
        event
        for day in range(days)
        for event in (
            entry(start + day * DAY, "requested", operation="rotate", by="ann"),
            entry(start + day * DAY, "refused", code="window", why=f"{day % 7}"),
            *rotation(start + day * DAY, f"s{day}", f"s{day + 1}"),
        )
    ]
    began = time.process_time()
    report = made(*events, period=period, summary=seen(f"s{days}", current_id=f"s{days}"))
    spent = time.process_time() - began

    assert report.count("completed") == len(report.revocations) == len(report.acts) == days
    assert sum(failure.count for failure in report.failures) == days
    assert len(report.failures) == 7
    assert [use.secret_id for use in report.uses] == [f"s{day}" for day in range(days + 1)]
    assert (report.oldest, report.overdue) == (DAY, 0 * DAY)
    # Quadratic work would take minutes.
    assert spent < 30


@pytest.mark.parametrize("step", [None, *Step])
def test_the_end_of_a_rotation_is_needed_wherever_it_came(step: Step | None) -> None:
    """Also where an adoption ended it in its wait."""
    assert is_needed("closed", step)
