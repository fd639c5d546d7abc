"""The watch over all other tests here: that it sees what it is there to see."""

import base64
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from rotator.errors import IssuerError
from rotator.model import Credential, Secret, SecretValue, Step
from rotator.rotation.observation import observe
from rotator.rotation.ports import NewEntry
from rotator.vonage import Secrets
from tests.support.rotation_fixture import NAME, RotationFixture


def credential(fixture: RotationFixture) -> Credential:
    """Return the account's present credential."""
    return Credential(
        api_key=fixture.accounts[NAME].api_key, secret=SecretValue(fixture.look().value)
    )


def create(fixture: RotationFixture, value: str = "Unasked1234") -> Secret:
    """Create a secret behind the reconciler's back."""
    account = fixture.accounts[NAME]
    issuer = Secrets(fixture.transport)
    return issuer.create_secret(
        credential(fixture), account.api_key, SecretValue(value), before_send=lambda: None
    )


def delete(fixture: RotationFixture, secret_id: str) -> None:
    """Delete a secret behind the reconciler's back."""
    issuer = Secrets(fixture.transport)
    api_key = fixture.accounts[NAME].api_key
    issuer.delete_secret(credential(fixture), api_key, secret_id, before_send=lambda: None)


def intend(fixture: RotationFixture, step: Step, **detail: str) -> None:
    """Write an intent into the ledger."""
    fixture.has_made_up_entries = True
    lease = fixture.writer.claim(NAME, fixture.clock.now())
    entry = NewEntry(event="intent", step=step, detail=detail)
    fixture.writer.commit(
        lease, rotation=None, entries=[entry], snapshot=None, now=fixture.clock.now()
    )
    fixture.writer.release(lease)


def play(folder: Path, act: Callable[[RotationFixture], object]) -> None:
    """Make a fixture of `act` alone."""
    with RotationFixture(folder) as fixture:
        act(fixture)


def wrong(fixture: RotationFixture) -> str:
    """Return the witness's violations, and clear them."""
    said = "\n".join(fixture.monitor.violations)
    fixture.monitor.violations.clear()
    return said


def test_an_effect_without_an_intent_is_seen(tmp_path: Path) -> None:
    """The ledger's newest entry has to say what is being done."""
    with RotationFixture(tmp_path) as fixture:
        create(fixture)

        assert "not intended; the ledger says nothing" in wrong(fixture)


def test_an_effect_after_another_intent_is_seen(tmp_path: Path) -> None:
    """An intent is for one kind of effect."""
    with RotationFixture(tmp_path) as fixture:
        intend(fixture, Step.STAGE)
        create(fixture)

        assert "not intended; the ledger says intent stage" in wrong(fixture)


def test_a_deletion_of_another_secret_than_intended_is_seen(tmp_path: Path) -> None:
    """An intent to delete names its secret."""
    with RotationFixture(tmp_path) as fixture:
        foreign = fixture.make_foreign()
        intend(fixture, Step.DELETE, secret_id="x")
        delete(fixture, foreign)
        said = wrong(fixture)

        assert "another deletion was intended" in said
        assert "a foreign secret was deleted" in said


def test_a_value_that_is_nowhere_in_vault_is_seen(tmp_path: Path) -> None:
    """Write-ahead: Vonage hears of no value that the pending path does not hold."""
    with RotationFixture(tmp_path) as fixture:
        create(fixture)

        assert "a secret was made that is nowhere in Vault" in wrong(fixture)


def test_the_end_of_the_value_in_vault_is_seen(tmp_path: Path) -> None:
    """Consumers have to read a working secret at every instant."""
    with RotationFixture(tmp_path) as fixture:
        fixture.make_foreign()
        delete(fixture, fixture.secrets()[0].id)
        said = wrong(fixture)

        assert "the value in Vault stopped working" in said
        assert "the secret in Vault was deleted" in said


def test_a_deletion_that_has_not_spread_yet_is_seen(tmp_path: Path) -> None:
    """The secret is gone although its value still works for a while."""
    with RotationFixture(tmp_path, propagation=60.0) as fixture:
        fixture.make_foreign()
        delete(fixture, fixture.secrets()[0].id)
        said = wrong(fixture)

        assert "the value in Vault stopped working" not in said
        assert "the secret in Vault was deleted" in said


@pytest.mark.parametrize(
    ("spoil", "violation"),
    [
        (
            lambda fixture: fixture.revoke(fixture.secrets()[1].id),
            "a value was pushed that does not work",
        ),
        (RotationFixture.drop_pending, "a value was pushed that is not the pending one"),
    ],
)
def test_a_bad_push_is_seen(
    tmp_path: Path, spoil: Callable[[RotationFixture], None], violation: str
) -> None:
    """A value is pushed from the pending path, and works at that moment."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        fixture.calls.plan("before", "store.write_current", 1, lambda: spoil(fixture))
        fixture.attempt()

        assert violation in wrong(fixture)


def test_a_push_over_other_fields_is_seen(tmp_path: Path) -> None:
    """Fields of others are not rotator's to change."""
    with RotationFixture(tmp_path) as fixture:
        account = fixture.accounts[NAME]

        def forget() -> None:
            data = fixture.world.vault._mounts["secret"].keys[account.vault_path]
            fields = data.versions[1].data
            assert fields is not None
            fields["note"] = "changed without a version"

        fixture.calls.plan("before", "store.write_current", 1, forget)
        fixture.attempt()

        assert "a push changed fields that are not ours" in wrong(fixture)


def test_a_lost_value_is_seen(tmp_path: Path) -> None:
    """The pending entry of a live secret is not removed unless Vault holds the value elsewhere."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        fixture.run_until_killed()
        intend(fixture, Step.CLEAR)
        fixture.reconciler.store.clear_pending(fixture.accounts[NAME], 1, before_send=lambda: None)

        assert "the only copy of a live secret was lost" in wrong(fixture)


def test_a_secret_that_vanishes_without_a_deletion_is_seen(tmp_path: Path) -> None:
    """Only a DELETE of its own takes a secret away, and never the last one."""
    with RotationFixture(tmp_path) as fixture:
        last = fixture.secrets()[0].id
        # Behind the witness, so that the secret is gone between its two looks.
        fixture.world.vonage.observers.append(
            lambda phase, _exchange: fixture.revoke(last) if phase == "before" else None
        )
        observe(fixture.reconciler, fixture.accounts[NAME])
        fixture.world.vonage.observer_errors.clear()
        said = wrong(fixture)

        assert "a secret vanished unasked" in said
        assert "0 secrets" in said


def test_a_broken_rule_fails_the_fixture(tmp_path: Path) -> None:
    """Whatever else a test asserts, a violation is a failure."""
    with pytest.raises(AssertionError, match="not intended"):
        play(tmp_path, create)


def test_a_failing_observer_fails_the_fixture(tmp_path: Path) -> None:
    """A watch that does not work is no watch."""

    def stumble(_seen: object) -> None:
        raise LookupError("stumbled")

    def act(fixture: RotationFixture) -> None:
        fixture.monitor.before.append(stumble)
        fixture.attempt()

    with pytest.raises(AssertionError, match="stumbled"):
        play(tmp_path, act)


def test_a_changed_chain_fails_the_fixture(tmp_path: Path) -> None:
    """The ledger is verified at the end of every fixture."""

    def act(fixture: RotationFixture) -> None:
        fixture.attempt()
        with fixture.database.begin() as connection:
            connection.exec_driver_sql("UPDATE account SET chain_seq = 99")

    with pytest.raises(AssertionError, match="entries were written"):
        play(tmp_path, act)


def spoken(text: str) -> Callable[[RotationFixture], None]:
    """Log `text`."""
    return lambda _fixture: structlog.get_logger("x").debug("event", field=text)


def reported(text: str) -> Callable[[RotationFixture], None]:
    """Log `text` with the standard library."""
    return lambda _fixture: logging.getLogger("x").debug("say %s", text)


def written(text: str) -> Callable[[RotationFixture], None]:
    """Write `text` into the ledger."""
    return lambda fixture: intend(fixture, Step.STAGE, secret_id=text)


def raised(text: str) -> Callable[[RotationFixture], None]:
    """Raise `text` in a port, as the cause of another error."""

    def fail(fixture: RotationFixture) -> None:
        def stumble() -> None:
            raise IssuerError from LookupError(text)

        fixture.calls.plan("before", "issuer.list_secrets", 1, stumble)
        fixture.attempt()

    return fail


@pytest.mark.parametrize("tell", [spoken, reported, written, raised])
@pytest.mark.parametrize(
    "disguise",
    [
        lambda value, _key: value,
        lambda value, _key: f"Bearer-{value}-",
        lambda value, _key: base64.b64encode(value.encode()).decode(),
        lambda value, _key: base64.b64encode(f"x{value}".encode()).decode(),
        lambda value, _key: base64.b64encode(f"xy{value}zz".encode()).decode(),
        lambda value, key: base64.b64encode(f"{key}:{value}".encode()).decode(),
        lambda value, _key: value.encode().hex(),
    ],
    ids=["bare", "within", "base64", "shifted", "shifted-twice", "basic", "hex"],
)
def test_a_leak_is_found(
    tmp_path: Path,
    tell: Callable[[str], Callable[[RotationFixture], None]],
    disguise: Callable[[str, str], str],
) -> None:
    """In logs, ledger and errors, in whatever form a value may end up there."""

    def act(fixture: RotationFixture) -> None:
        secret = fixture.secrets()[0].value
        tell(disguise(secret, fixture.accounts[NAME].api_key))(fixture)

    with pytest.raises(AssertionError, match="a value is found"):
        play(tmp_path, act)


def test_a_leaked_token_is_found(tmp_path: Path) -> None:
    """Vault's token is as secret as what it opens."""
    with pytest.raises(AssertionError, match="a value is found"):
        play(tmp_path, lambda fixture: spoken(fixture.tokens[0])(fixture))


def test_every_line_is_listened_to(tmp_path: Path) -> None:
    """The log of a whole rotation is there at DEBUG, from the reconciler and both clients."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()
        said = "\n".join(fixture.ear.lines)

        assert "decided" in said
        assert "vonage call" in said
        assert "vault call" in said
