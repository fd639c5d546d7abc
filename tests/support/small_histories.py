"""Small histories of one account that keep each rule, and the same with one thing changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.ledger.chain import GENESIS, Entry, canonical_json
from rotator.ledger.replay import Replay
from rotator.model.times import rfc3339_exact
from rotator.reporting.rules import RuleCheck, Violation

START = datetime(2026, 11, 1, tzinfo=UTC)
DAY = 86_400
IDENTITY = {
    "api_key": "abcd1234",
    "issuer": "api.nexmo.com",
    "pending_path": "secret/rotator/pending/a",
    "vault_path": "secret/vonage/a",
}
#: Hours from the start, rotation, event, step, facts.
Draft = tuple[float, str | None, str, str | None, dict[str, Any]]


def _time(hours: float) -> str:
    return (START + timedelta(hours=hours)).isoformat(timespec="microseconds")


def rotation(  # noqa: PLR0913  # all by name
    *,
    id_: str = "r1",
    old: str = "old",
    new: str = "new",
    token: int = 1,
    version: int = 1,
    at: float = 0.0,
) -> list[Draft]:
    """Return the entries of a rotation with a day of grace, up to its wait."""
    fenced = {"fencing_token": token}
    opened = {
        **IDENTITY,
        **fenced,
        "grace_seconds": DAY,
        "predecessor_id": old,
        "predecessor_since": None,
        "reason": "due",
    }
    verified = {"grace_seconds": DAY, "vault_version": version + 1, "verified_at": _time(at)}
    facts: list[tuple[str, str, dict[str, Any]]] = [
        ("opened", "open", opened),
        ("intent", "stage", fenced),
        ("done", "stage", {"pending_version": 1}),
        ("intent", "create", {**fenced, "pending_version": 1}),
        ("done", "create", {"secret_id": new}),
        ("done", "probe", {"secret_id": new}),
        ("intent", "push", {**fenced, "over": version, "pending_version": 1}),
        ("done", "push", {"vault_version": version + 1}),
        ("done", "verify", verified),
        ("intent", "clear", fenced),
        ("done", "clear", {}),
    ]
    return [(at, id_, event, step, detail) for event, step, detail in facts]


def deletion(  # noqa: PLR0913  # all by name
    *,
    id_: str = "r1",
    old: str = "old",
    token: int = 2,
    at: float = 25.0,
    grace: int = DAY,
    gates: str | None = None,
) -> list[Draft]:
    """Return the entries of the deletion of a predecessor."""
    intent = {
        "authenticated_at": _time(at),
        "fencing_token": token,
        "grace_seconds": grace,
        "secret_id": old,
        **({"gates": gates} if gates else {}),
    }
    closed = {"code": None, "fencing_token": token, "outcome": "completed"}
    return [
        (at, id_, "intent", "delete", intent),
        (at, id_, "done", "delete", {"secret_id": old}),
        (at, id_, "closed", "complete", closed),
    ]


def eviction(secret_id: str, *, at: float, token: int) -> list[Draft]:
    """Return the entries of the deletion of a foreign secret, as a policy allows."""
    foreign = {"is_foreign": True, "secret_id": secret_id}
    intent = {"authenticated_at": _time(at), "fencing_token": token, **foreign}
    return [(at, "r1", "intent", "evict", intent), (at, "r1", "done", "evict", foreign)]


def requested(operation: str, *, token: int = 2, at: float = 1.0, **facts: Any) -> Draft:  # noqa: ANN401  # JSON
    """Return the entry of what a person asks for."""
    detail = {"by": "ann", "fencing_token": token, "operation": operation, **facts}
    return at, None, "requested", None, detail


def by_hand(event: str, **facts: Any) -> tuple[None, str, None, dict[str, Any]]:  # noqa: ANN401  # JSON
    """Return what an entry says of secret x, which a person deletes."""
    return None, event, None, {"by": "operator", "operation": "delete", "secret_id": "x", **facts}


def gates_open(*, at: float = 25.0, token: int = 2, event: str = "gates-open") -> Draft:
    """Return the entry of gates that were asked, or skipped."""
    return at, "r1", event, "wait", {"fencing_token": token, "gates": "gate"}


WHOLE = [*rotation(), *deletion()]


def entries_of(drafts: list[Draft]) -> list[Entry]:
    """Return the entries, of which the chain is another test's."""
    return [
        Entry(
            account="a",
            seq=seq,
            rotation_id=rotation_id,
            at=rfc3339_exact(START + timedelta(hours=hours)),
            event=event,
            step=step,
            detail=canonical_json(detail),
            prev_hash=GENESIS,
            hash="",
        )
        for seq, (hours, rotation_id, event, step, detail) in enumerate(drafts, start=1)
    ]


def checked(
    entries: list[Entry], rules: RuleCheck | None = None, replay: Replay | None = None
) -> list[Violation]:
    """Return what breaks a rule in entries, which follow what the others have read."""
    rules, replay = rules or RuleCheck(), replay or Replay()
    for entry in entries:
        rules.read(entry, replay)
        replay.read(entry)
    return rules.violations


def check(drafts: list[Draft]) -> list[Violation]:
    """Return what breaks a rule."""
    return checked(entries_of(drafts))


def but(drafts: list[Draft], place: int, **facts: Any) -> list[Draft]:  # noqa: ANN401  # JSON
    """Return entries of which the one at `place` has other facts."""
    hours, rotation_id, event, step, detail = drafts[place]
    changed = (hours, rotation_id, event, step, {**detail, **facts})
    return [*drafts[:place], changed, *drafts[place + 1 :]]


def without(drafts: list[Draft], event: str, step: str) -> list[Draft]:
    """Return entries without those of an event and step."""
    return [draft for draft in drafts if draft[2:4] != (event, step)]


def older(drafts: list[Draft]) -> list[Draft]:
    """Return entries as older versions recorded them."""
    new = ("authenticated_at", "fencing_token", "gates", "over", "pending_version")

    def facts(event: str, detail: dict[str, Any]) -> dict[str, Any]:
        left_out = (*new, "grace_seconds") if event == "intent" else new
        return {name: value for name, value in detail.items() if name not in left_out}

    return [(*draft[:4], facts(draft[2], draft[4])) for draft in drafts]


HONEST: dict[str, list[Draft]] = {
    "an entry that somebody removed with all versions": [
        *rotation(),
        *deletion(),
        *rotation(id_="r2", old="new", new="newer", token=3, version=0, at=26),
    ],
    "a whole rotation": WHOLE,
    "two": [
        *WHOLE,
        *rotation(id_="r2", old="new", new="newer", token=3, version=2, at=800),
        *deletion(id_="r2", old="new", token=4, at=900),
    ],
    "of an older version": older(WHOLE),
    "begun by an older version": [*older(rotation()), *deletion()],
    "of an older version, its grace ended": older([*rotation(), *deletion(at=2)]),
    "a grace that a person ends": [
        *rotation(),
        requested("rotate", reason="asked", grace_seconds=0),
        *deletion(at=1, grace=0),
    ],
    "an older version at work beside this one": [
        *WHOLE,
        *older(rotation(id_="r2", old="new", new="newer", version=2, at=800)),
        *deletion(id_="r2", old="new", token=4, at=900),
        *rotation(id_="r3", old="newer", new="newest", token=5, version=3, at=1600),
        *older(deletion(id_="r3", old="newer", at=1700)),
        *rotation(id_="r4", old="newest", new="last", token=7, version=4, at=2400),
    ],
    "gates that opened": [*rotation(), gates_open(), *deletion(gates="gate")],
    "gates that are skipped for a leak": [
        *rotation(),
        requested("rotate", reason="compromised", grace_seconds=0),
        (1, "r1", "asked", "wait", {"grace_seconds": 0, "reason": "compromised"}),
        gates_open(at=1, event="gates-skipped"),
        *deletion(at=1, grace=0, gates="gate"),
    ],
    "killed after the push": [
        *rotation()[:7],
        (1, "r1", "learned", "push", {"secret_id": "new", "vault_version": 2}),
        (1, *rotation(at=1)[8][1:]),
        *deletion(at=26),
    ],
    "killed before the outcome of the deletion": [
        *rotation(),
        deletion()[0],
        *deletion(token=3)[2:],
    ],
    "a stranger's secret that the policy allows to evict": [
        WHOLE[0],
        *eviction("stranger", at=0, token=1),
        *WHOLE[1:],
    ],
    "a restored ledger that knows of no staging": [rotation()[0], *rotation(token=2)[3:]],
    "a deletion that a hold withdraws": [
        *rotation(),
        deletion()[0],
        (25, "r1", "withdrawn", "delete", {"secret_id": "old"}),
        (25, None, "held", None, {"by": "ann", "freeze": True, "reason": "audit"}),
        (26, None, "released", None, {"by": "ann", "held_by": "ann", "reason": "audit"}),
        *deletion(token=3, at=27),
    ],
    "a deletion by hand that a hold withdraws": [
        *WHOLE,
        requested("delete", token=3, at=26, secret_id="x"),
        (26, *by_hand("intent", fencing_token=3)),
        (26, *by_hand("withdrawn", code="hold-changed")),
    ],
    "a lease that was ended": [
        *rotation()[:3],
        (0, None, "lease-ended", None, {"by": "ann", "owner": "1 on a"}),
        *rotation(token=3)[3:],
        *deletion(token=4),
    ],
}


def proof(secret_id: str, *, at: float = 26.0) -> Draft:
    """Return the entry of a value that Vonage refused after its secret's deletion."""
    detail = {"dead_at": _time(at), "seconds": 3600, "secret_id": secret_id}
    return at, "r1", "dead-after", "prove", detail


DISHONEST: dict[str, tuple[int, str, list[Draft]]] = {
    "a value that was not staged": (
        2,
        "no version of the pending entry",
        [
            (*draft[:4], {k: v for k, v in draft[4].items() if k != "pending_version"})
            if draft[2:4] == ("intent", "create")
            else draft
            for draft in WHOLE
        ],
    ),
    "a value older than the staged one": (
        2,
        "version 1 of the pending entry, and 2",
        but(WHOLE, 2, pending_version=2),
    ),
    "a push of a secret that nobody made": (
        2,
        "which secret was made",
        but(without(without(WHOLE, "done", "create"), "done", "probe"), 3, fencing_token=0),
    ),
    "a value cleared before it is verified": (
        2,
        "was not verified in its place",
        without(WHOLE, "done", "verify"),
    ),
    "an outcome without an intent": (
        3,
        "an outcome without an intent before it",
        without(WHOLE, "intent", "create"),
    ),
    "an intent without an outcome": (
        3,
        "no entry has the outcome of the intent",
        without(WHOLE, "done", "stage"),
    ),
    "an outcome of another secret": (3, "not the outcome of", but(WHOLE, 12, secret_id="other")),
    "an effect of a closed rotation": (3, "is not open", [*WHOLE, *deletion(token=3)]),
    "a deletion by hand that nobody asked for": (
        3,
        "who asked to delete",
        [
            (
                0,
                None,
                "intent",
                None,
                {"by": "operator", "fencing_token": 1, "operation": "delete", "secret_id": "x"},
            ),
        ],
    ),
    "a missing fact": (
        3,
        "has no outcome",
        but([*WHOLE[:-1], (*WHOLE[-1][:4], {"code": None, "fencing_token": 2})], 0),
    ),
    "a probe that was withdrawn": (
        3,
        "its event is withdrawn at step probe",
        [*WHOLE[:5], (0, "r1", "withdrawn", "probe", {"secret_id": "new"}), *WHOLE[6:]],
    ),
    "a staging that was withdrawn and has a result": (
        3,
        "it has a pending_version, which no entry withdrawn has",
        [*WHOLE[:2], (0, "r1", "withdrawn", "stage", {"pending_version": 1}), *WHOLE[3:]],
    ),
    "a lost answer that became a withdrawal": (
        3,
        "it has a code, which no entry withdrawn has",
        [
            *rotation(),
            deletion()[0],
            (25, "r1", "withdrawn", "delete", {"code": "vonage-unavailable", "secret_id": "old"}),
        ],
    ),
    "a lost answer that became a success": (
        3,
        "it has a code, which no entry done has",
        but(WHOLE, 12, code="vonage-unavailable"),
    ),
    "a deletion by hand that became unknown": (
        3,
        "it has no code",
        [
            *WHOLE,
            requested("delete", token=3, at=26, secret_id="x"),
            (26, *by_hand("intent", fencing_token=3)),
            (26, *by_hand("unknown")),
        ],
    ),
    "a proof that became none": (
        3,
        "it has a dead_at, which no entry still-accepted has",
        [*WHOLE[:13], (25, "r1", "still-accepted", *proof("old", at=25)[3:]), WHOLE[13]],
    ),
    "a hold that became a release": (
        3,
        "it has a freeze, which no entry released has",
        [*WHOLE, (26, None, "released", None, {"by": "ann", "freeze": True, "reason": "audit"})],
    ),
    "a predecessor that was not verified": (
        4,
        "was not verified",
        [*without(rotation()[:9], "done", "verify"), *deletion()],
    ),
    "a stranger": (4, "neither replaced nor made", [*rotation(), *deletion(old="stranger")]),
    "a slot freed of a stranger": (
        4,
        "left secret stranger behind",
        [
            *rotation()[:1],
            (
                0,
                "r1",
                "intent",
                "evict",
                {"authenticated_at": _time(0), "fencing_token": 1, "secret_id": "stranger"},
            ),
        ],
    ),
    "an adopted secret": (
        4,
        "an operator adopted it",
        [
            *rotation(),
            requested("adopt"),
            (
                1,
                None,
                "intent",
                "push",
                {
                    "by": "operator",
                    "fencing_token": 2,
                    "operation": "adopt",
                    "over": 2,
                    "secret_id": "old",
                },
            ),
            *deletion(token=3),
        ],
    ),
    "what Vault holds was not tried": (
        4,
        "authenticate at",
        but(WHOLE, 11, authenticated_at=_time(20)),
    ),
    "a grace that is not over": (
        4,
        "a grace of 1d began at 2026-11-01T00:00:00Z",
        [*rotation(), *deletion(at=23)],
    ),
    "a grace that nobody ended": (
        4,
        "nobody asked for that",
        [*rotation(), *deletion(at=1, grace=0)],
    ),
    "a grace ended by another request": (
        4,
        "nobody asked for that",
        [
            *rotation(),
            requested("rotate", reason="asked", grace_seconds=0),
            *deletion(at=1, grace=0, token=3),
        ],
    ),
    "a gate that nobody asked": (
        4,
        "none had just been found open",
        [*rotation(), *deletion(gates="gate")],
    ),
    "a gate that was asked by another process": (
        4,
        "none had just been found open",
        [*rotation(), gates_open(), *deletion(gates="gate", token=3)],
    ),
    "a gate that is left out": (4, "it names no gates", [*rotation(), gates_open(), *deletion()]),
    "gates skipped without a leak": (
        4,
        "because of a leak",
        [*rotation(), gates_open(event="gates-skipped"), *deletion(gates="gate")],
    ),
    "a secret that is called foreign in its grace": (
        4,
        "secret old is to be deleted to free a slot, and the push is over",
        [*rotation(), *eviction("old", at=1, token=2)],
    ),
    "a grace changed and nobody asked": (
        4,
        "who asked for it",
        [*rotation(), (1, "r1", "asked", "wait", {"grace_seconds": 0, "reason": "asked"})],
    ),
    "a grace that begins earlier": (4, "its grace begins", but(WHOLE, 8, verified_at=_time(-30))),
    "a grace dated anew for nothing": (
        4,
        "dated anew",
        [*rotation(), (1, "r1", "learned", "verify", {"verified_at": _time(1)})],
    ),
    "another grace than the rotation's": (4, "a grace of 5s", but(WHOLE, 8, grace_seconds=5)),
    "an undoing after the push": (
        4,
        "may have pushed",
        [*rotation()[:8], (0, "r1", "aborting", "abort", {"code": "overtaken"})],
    ),
    "a falling token": (
        8,
        "another process had taken over",
        [*rotation(token=5), *deletion(token=4)],
    ),
    "a token of a lease that was ended": (
        8,
        "another process had taken over",
        [
            *rotation()[:3],
            (0, None, "lease-ended", None, {"by": "ann", "owner": "1 on a"}),
            *rotation()[3:],
        ],
    ),
    "no token under a lease that has one": (
        8,
        "so that entry 4, which has none, is of no process: 1 is the last before it",
        [*rotation()[:3], *older(rotation()[3:4]), *rotation()[4:]],
    ),
    "no token, and no claim in between": (
        8,
        "so that entry 24, which has none, is of no process: 2 is the last before it",
        [
            *WHOLE,
            *older(rotation(id_="r2", old="new", new="newer", version=2, at=800)),
            *deletion(id_="r2", old="new", token=3, at=900),
        ],
    ),
    "two open rotations": (
        8,
        "and another one is opened",
        [*rotation(), *rotation(id_="r2", old="new", new="newer", token=3, version=2)],
    ),
    "a version that check-and-set does not allow": (
        8,
        "its check-and-set stated 1",
        but(WHOLE, 7, vault_version=3),
    ),
    "a write that does not say over which version": (
        3,
        "it has no over",
        but(WHOLE, 6, over=None),
    ),
    "a verification without its grace": (
        3,
        "it has no grace_seconds",
        but(WHOLE, 8, grace_seconds=None),
    ),
    "an opening for no API host": (3, "it has no issuer", but(WHOLE, 0, issuer=None)),
    "a write over an older version": (
        8,
        "rotator had written 2",
        [*WHOLE, *rotation(id_="r2", old="new", new="newer", token=3, version=1, at=800)],
    ),
    "a rotation of another account": (
        8,
        "API key other, and the account has abcd1234",
        [
            *WHOLE,
            *but(
                rotation(id_="r2", old="new", new="x", token=3, version=2, at=800),
                0,
                api_key="other",
            ),
        ],
    ),
    "another secret that is probed": (
        3,
        "secret x, and the rotation made secret new",
        but(WHOLE, 5, secret_id="x"),
    ),
    "an event at a step that it is not of": (
        3,
        "its event is aborting at step clear",
        [*rotation()[:5], (0, "r1", "aborting", "clear", {"code": "overtaken"})],
    ),
    "opened as somebody asked, and nobody did": (
        3,
        "no entry says who asked for it",
        but(WHOLE, 0, reason="asked"),
    ),
    "verified, and not pushed": (
        4,
        "what no entry says was pushed",
        without(without(WHOLE, "intent", "push"), "done", "push"),
    ),
    "another secret that is proved dead": (
        4,
        "secret new, and the rotation replaced secret old",
        [*rotation(), *deletion()[:2], proof("new")],
    ),
    "proved dead twice": (
        4,
        "it was refused at 2026-11-02T02:00:00Z already",
        [*rotation(), *deletion()[:2], proof("old"), proof("old", at=27.0)],
    ),
    "asked for under a lease that is used": (
        8,
        "asked for under fencing token 1",
        [*rotation(), requested("rotate", token=1)],
    ),
}
