"""The publication of the ledger's checkpoints."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.config.file import SMS, VAULT, Read, Refuse

WITNESS = "[ledger.witness]\n"
KEY = 'key_file = "/etc/key"\n'


def test_it_is_off_unless_it_is_configured(read: Read) -> None:
    """No key, no place, and a day in between."""
    witness = read().ledger.witness

    assert not witness.is_on
    assert (witness.directory, witness.url, witness.vault_path) == (None, "", "")
    assert witness.every == timedelta(days=1)


def test_each_place_may_be_used_with_the_others(read: Read) -> None:
    """A directory, an address with its query, and an entry."""
    places = 'directory = "/srv/w"\nurl = "https://w.example/log?t=1"\nvault_path = "/w/"\n'
    text = f'{VAULT}{SMS}{WITNESS}{KEY}{places}name = "example.com/log"\nevery = "6h"\n'
    witness = read(text).ledger.witness

    assert witness.is_on
    assert witness.directory == Path("/srv/w")
    assert (witness.url, witness.vault_path) == ("https://w.example/log?t=1", "w")
    assert (witness.name, witness.every) == ("example.com/log", timedelta(hours=6))


def test_a_witness_on_this_machine_needs_no_tls(read: Read) -> None:
    """Nobody is on the way there."""
    url = "http://127.0.0.1:8080/log/add-checkpoint?t=1"
    text = f'{VAULT}{SMS}{WITNESS}{KEY}url = "{url}"\n'

    assert read(text).ledger.witness.url == url


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ('directory = "/srv/w"', "directory: needs a key", "ledger witness key --help"),
        (KEY, "signs what is published nowhere", "vault_path"),
        ('name = "two words"', "is not a log's name", None),
        ('name = "a+b"', "is not a log's name", None),
        ('name = "é"', "is not a log's name", None),
        ('url = "http://w.example/"', "is plain http", "answer in the witness's place"),
        ('url = "https://w.example/#top"', "has a fragment", None),
        ('every = "0s"', "is less than 1s", "1d"),
        ('vault_path = "a/../b"', "has a segment", None),
        (
            f'{KEY}vault_path = "vonage/sms"',
            "is at, below or above 'vonage/sms'",
            "rotator/witness",
        ),
        (f'{KEY}vault_path = "vonage/sms/x"', "is at, below or above 'vonage/sms'", None),
        (f'{KEY}vault_path = "vonage"', "is at, below or above 'vonage/sms'", None),
        (f'{KEY}vault_path = "rotator/pending/x"', "of vault.pending_prefix", None),
        (f'{KEY}vault_path = "rotator"', "of vault.pending_prefix", None),
        ('keyfile = "/etc/key"', "keyfile", "key_file"),
    ],
)
def test_what_cannot_work_is_refused(
    refuse: Refuse, text: str, reason: str, hint: str | None
) -> None:
    """With the key, the reason, and what to write instead."""
    error = refuse(f"{VAULT}{SMS}{WITNESS}{text}\n")

    assert "ledger.witness." in f"{error.message}"
    assert reason in error.message
    assert hint is None or hint in f"{error.message} {error.hint}"
