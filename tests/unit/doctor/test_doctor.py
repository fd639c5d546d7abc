import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rotator.application import Application
from rotator.config import load
from rotator.doctor import accounts, files, trigger
from rotator.doctor.check import Verdict, clock_check
from rotator.model import (
    CurrentEntry,
    Note,
    OnForeign,
    PendingEntry,
    Secret,
    State,
    Step,
    Trouble,
)
from rotator.rotation.observation import Observation
from tests.support.observations import but, observed
from tests.support.samples import NOW, account, rotation

ROTATION = rotation(step=Step.PUSH, new_id="new", grace=timedelta(), sent_at=NOW)
BASE = """
[vault]
address = "https://vault.example.com"
{vault}
[vault.auth]
{auth}
[ledger]
url_file = "ledger-url"
[daemon]
listen_token_file = "listen-token"
[trigger]
listen = "127.0.0.1:9471"
secret_file = "trigger-key"
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "vonage/sms"
[[hooks]]
on = ["pushed"]
url_file = "hook-url"
secret_file = "hook-key"
[[hooks]]
on = ["failed"]
format = "pagerduty"
routing_key_file = "routing-key"
"""
ALWAYS = {
    "ledger-url",
    "listen-token",
    "hook-url",
    "hook-key",
    "routing-key",
    "trigger-key",
}


def world(current: str) -> Observation:
    """Return an account in the middle of a rotation, with `current` as the id in Vault's note."""
    note = Note(secret_id=current, rotation_id="r1", rotated_at=NOW, ledger_head="", check="")
    return observed(
        listed=tuple(Secret(id=each, created_at=NOW) for each in ("old", "new")),
        current=CurrentEntry(version=2, note=note, intact=True, has_value=True),
        rotation=ROTATION,
        expendable_ids=frozenset({"orphan"}),
    )


def test_each_secret_has_one_role() -> None:
    """Vault's is current; the rotation's own are told from expendable and foreign ones."""
    seen = world("new")
    orphan = Secret(id="orphan", created_at=NOW)
    (before,) = accounts.slots(account(), world("old"), None)
    listed = (*(seen.listing.secrets or ()), orphan)
    (after,) = accounts.slots(account(), but(seen, listed=listed), None)

    assert before.finding == "2 of 2 used: new new, old current"
    assert after.finding == "3 of 2 used: new current, old predecessor, orphan expendable"


def test_a_field_that_is_not_rotators_is_named() -> None:
    """Where the configuration wants a replaced value to be kept in it."""
    owner, seen = account(previous_field="past"), world("new")
    entry = seen.current.entry
    assert entry is not None
    taken = but(seen, current=replace(entry, is_previous_taken=True))
    (check,) = accounts.previous(owner, taken)

    assert check.verdict is Verdict.WARNING
    assert "field past of the Vault entry is not rotator's" in check.finding
    assert not list(accounts.previous(owner, seen))
    assert not list(accounts.previous(owner, but(seen, current=None)))


#: A second secret that nobody knows, beside one that Vault holds and that works.
STRANGER = but(world("old"), rotation=None, current_authenticated_at=NOW)
TROUBLE = Trouble(state=State.DRIFTED, code="drift", why="it is", hint="mend it", since=NOW)


@pytest.mark.parametrize(
    ("changes", "policy", "trouble", "hint"),
    [
        ({}, {}, None, "if nothing uses it, `rotator secrets delete sms new`"),
        ({}, {"on_foreign": OnForeign.EVICT_OLDEST}, None, "the next rotation deletes"),
        ({"pending": PendingEntry(rotation_id="r9", listed_ids=frozenset())}, {}, None, "none: "),
        ({}, {}, TROUBLE, None),
        # Any of them may be in use.
        ({"current_authenticated_at": None}, {}, None, None),
        ({"current": None}, {}, None, None),
        ({"adopted_id": "new"}, {}, None, None),
        ({"listed": (Secret(id="new", created_at=NOW),), "current": None}, {}, None, None),
    ],
)
def test_only_what_is_certainly_spare_is_advised_to_be_deleted(
    changes: dict[str, Any], policy: dict[str, Any], trouble: Trouble | None, hint: str | None
) -> None:
    """A foreign secret is spare if Vault's works; not the only one, nor one that may be pending."""
    seen = but(STRANGER, **changes)
    owner = account(policy=replace(account().policy, **policy))
    (check,) = accounts.slots(owner, seen, trouble)

    assert "foreign" in check.finding
    assert (check.hint is None) == (hint is None)
    assert (hint or "") in (check.hint or "")
    assert check.verdict is (Verdict.WARNING if hint else Verdict.OK)


@pytest.mark.parametrize(
    ("changes", "trouble", "finding"),
    [
        ({}, None, "the value in Vault authenticates"),
        ({"current_authenticated_at": None}, None, "is refused; another credential works"),
        ({"current": None, "current_authenticated_at": None}, None, "is not there yet; another"),
        ({"current_authenticated_at": None}, TROUBLE, None),
    ],
)
def test_a_dead_value_is_reported_once(
    changes: dict[str, Any], trouble: Trouble | None, finding: str | None
) -> None:
    """Where it is what is wrong with the account, that has the cause and the cure."""
    found = list(accounts.credential(account(), but(STRANGER, **changes), trouble))

    assert [finding in check.finding for check in found if finding] == [True] * len(found)
    assert len(found) == (0 if finding is None else 1)


@pytest.mark.parametrize(
    ("vault", "auth", "names"),
    [
        ("", 'token_file = "token"', {"token"}),
        (
            'ca_file = "ca.pem"',
            'method = "approle"\nrole_id_file = "role"\nsecret_id_file = "secret"',
            {"role", "secret"},
        ),
        ("", 'method = "jwt"\nrole = "r"\njwt_file = "jwt"', {"jwt"}),
        ("", 'method = "userpass"\nusername = "u"\npassword_file = "password"', {"password"}),
        ('client_cert_file = "both.pem"', 'method = "cert"', {"both.pem"}),
        ('client_cert_file = "c.pem"\nclient_key_file = "k.pem"', 'method = "cert"', {"k.pem"}),
    ],
)
def test_every_secret_file_is_looked_at(
    tmp_path: Path, vault: str, auth: str, names: set[str]
) -> None:
    """Whatever holds a secret is looked at, and what is for everyone to read is not."""
    (tmp_path / "ledger-url").write_text(f"sqlite:///{tmp_path}/ledger.db")
    (tmp_path / "listen-token").write_text("t" * 32)
    config = tmp_path / "config.toml"
    config.write_text(BASE.format(vault=vault, auth=auth))
    with Application(load(config, {}), {}) as application:
        found = {path.name for _, path in files._secret_files(application)}

    assert found == ALWAYS | names


@pytest.mark.parametrize(
    ("content", "verdict", "finding"),
    [
        ("k" * 24, "ok", "believes what is signed with one key"),
        (f"{'k' * 24}\n{'y' * 24}", "ok", "believes what is signed with two keys"),
        ("k" * 23, "failed", "has a key of less than 24 bytes"),
        (None, "failed", "cannot be read: no such file"),
    ],
)
def test_the_triggers_keys_are_looked_at(
    tmp_path: Path, content: str | None, verdict: str, finding: str
) -> None:
    """Before a leak is reported in vain; where there is no trigger, there is nothing to say."""
    if content:
        (tmp_path / "trigger-key").write_text(content)
    config = tmp_path / "config.toml"
    config.write_text(BASE.format(vault="", auth=""))
    with Application(load(config, {}), {}) as application:
        [check] = trigger.checks(application)
    with Application(load(config, {"ROTATOR_TRIGGER__LISTEN": ""}), {}) as application:
        without = list(trigger.checks(application))

    assert check.verdict == verdict
    assert finding in check.finding
    assert (check.hint is None) == (verdict == "ok")
    assert without == []


@pytest.mark.parametrize(
    ("mode", "verdict"),
    [(0o600, "ok"), (0o400, "ok"), (0o640, "warning"), (0o660, "failed"), (0o604, "failed")],
)
def test_a_secret_file_is_its_owners_alone(tmp_path: Path, mode: int, verdict: str) -> None:
    """To be read by a group may be meant; to be changed by it, or seen by all, is not."""
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.chmod(mode)

    assert files._check("vault.auth.token_file", path).verdict == verdict


@pytest.mark.parametrize("key", ["vault.client_key_file", "vault.client_cert_file"])
@pytest.mark.parametrize(
    "header",
    [
        "-----BEGIN ENCRYPTED PRIVATE KEY-----",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED",
    ],
)
def test_an_encrypted_key_is_named(tmp_path: Path, key: str, header: str) -> None:
    """However well its mode is: nobody is there to be asked for its passphrase."""
    path = tmp_path / "key.pem"
    path.touch(mode=0o600)
    path.write_text(f"{header}\nTWlhdQ==\n")
    encrypted = files._check(key, path)
    path.write_text("-----BEGIN PRIVATE KEY-----\nENCRYPTED\n")

    assert encrypted.verdict is Verdict.FAILED
    assert "encrypted" in encrypted.finding
    assert files._check(key, path).verdict is Verdict.OK


@pytest.mark.parametrize("date", [None, "soon", "Tue, 14 Nov 2023 22:13:20 +99999999999999"])
def test_a_header_that_is_no_date_is_no_error(date: str | None) -> None:
    """The server does not tell its time."""
    assert clock_check("vonage", date, NOW).verdict is Verdict.WARNING


@pytest.mark.parametrize(
    ("date", "finding"),
    [
        ("Thu, 26 Nov 2026 07:28:00 GMT", "this machine's clock is 3d behind the server's"),
        ("Mon, 23 Nov 2026 05:27:00 GMT", "this machine's clock is 2h 1m ahead of the server's"),
    ],
)
def test_a_wrong_clock_is_described_as_people_do(date: str, finding: str) -> None:
    """By how much it is off, in two units, and in which direction."""
    found = clock_check("vault", date, datetime(2026, 11, 23, 7, 28, tzinfo=UTC))

    assert (found.verdict, found.finding) == (Verdict.FAILED, finding)


def test_the_group_of_a_file_on_a_read_only_mount_is_fine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes mounts a Secret for rotator's group; others may not read it there, either."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    verdicts = {}
    for flags in (0, os.ST_RDONLY):
        monkeypatch.setattr("os.statvfs", lambda _path, flags=flags: SimpleNamespace(f_flag=flags))
        for mode in (0o400, 0o440, 0o444):
            token.chmod(mode)
            verdict = files._check("daemon.listen_token_file", token).verdict
            verdicts[bool(flags), mode] = verdict

    assert verdicts == {
        (False, 0o400): Verdict.OK,
        (False, 0o440): Verdict.WARNING,
        (False, 0o444): Verdict.FAILED,
        (True, 0o400): Verdict.OK,
        (True, 0o440): Verdict.OK,
        (True, 0o444): Verdict.FAILED,
    }
