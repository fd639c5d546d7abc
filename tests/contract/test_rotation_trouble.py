"""A seal and a lost token at each step of a rotation: what stops, and that nothing is lost."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rotator.model import Outcome, PassResult
from rotator.rotation.reconciler import Reconciler
from rotator.vault import EnvToken, FileToken, LoginToken
from tests.contract.conftest import OpenWay
from tests.contract.real import only_real
from tests.contract.server import ROOT
from tests.contract.site import Site
from tests.contract.test_vault_policy import policy

if TYPE_CHECKING:
    from tests.contract.server import Server

#: Right before which call it happens.
POINTS = {
    "before the first look": "store.read_current 1",
    "while looking": "store.read_pending 1",
    "before stage": "store.write_pending 1",
    "between stage and create": "issuer.create_secret 1",
    "between create and push": "store.write_current 1",
    "between push and verify": "store.read_version 1",
    "before clear": "store.clear_pending 1",
    "before the deletion": "issuer.delete_secret 1",
    "before the look that precedes the deletion": "store.read_current 2",
}
AT_EACH_POINT = pytest.mark.parametrize("point", POINTS.values(), ids=POINTS.keys())


@pytest.fixture
def let_in(open_way: OpenWay) -> OpenWay:
    """Return a function that lets rotator in by AppRole, with README's policy."""
    return lambda **terms: open_way("approle", policies=policy(), **terms)


def carry_on(site: Site, engine: Reconciler) -> PassResult:
    """Make another pass as `rotate-now` does, or `resume` where a rotation is open."""
    last = site.queries.accounts([site.account.name])[0].last_rotation
    return site.attempt(engine, None if last and last.outcome is None else "asked")


def failed_passes(site: Site, engine: Reconciler) -> list[PassResult]:
    """Make two passes that cannot succeed, the second of which must do nothing at Vonage."""
    first = site.attempt(engine)
    made = site.vonage.history(site.account.api_key)
    second = carry_on(site, engine)
    assert site.vonage.history(site.account.api_key) == made
    return [first, second]


def codes(reports: list[PassResult]) -> set[tuple[Outcome, str]]:
    """Return how passes ended, and why."""
    return {(report.outcome, report.error.code if report.error else "") for report in reports}


@AT_EACH_POINT
def test_a_seal_loses_nothing(server: "Server", site: Site, point: str) -> None:
    """Whenever Vault is sealed, the pass says so, and goes on from there once it is not."""
    engine = site.begin(EnvToken(ROOT))
    site.at(point, server.seal)
    try:
        failed = failed_passes(site, engine)
    finally:
        server.unseal()
    site.check()
    done = carry_on(site, site.begin(EnvToken(ROOT)))

    assert codes(failed) == {(Outcome.FAILED, "vault-sealed")}
    assert done.outcome is Outcome.COMPLETED
    site.check_completed()


def test_a_seal_after_the_last_look_changes_nothing(server: "Server", site: Site) -> None:
    """All that Vault had to say was asked just before: the rotation ends without it."""
    engine = site.begin(EnvToken(ROOT))
    # The ledger is asked when Vault has been.
    site.at("issuer.delete_secret 1", lambda: site.at("ledger.check 1", server.seal))
    try:
        report = site.attempt(engine)
    finally:
        server.unseal()

    assert report.outcome is Outcome.COMPLETED
    site.check_completed()


@AT_EACH_POINT
def test_a_token_that_cannot_be_replaced_stops_it(
    server: "Server", site: Site, tmp_path: Path, point: str
) -> None:
    """A revoked token without a login is named as such, until there is another in its file."""
    file, token = tmp_path / "token", server.issue_token(policy())
    site.secret.append(token)
    file.write_text(token)
    engine = site.begin(FileToken(str(file)))
    site.at(point, lambda: server.revoke_token(token))
    failed = failed_passes(site, engine)
    site.check()
    fresh = tmp_path / "fresh"
    fresh.write_text(server.issue_token(policy()))
    site.secret.append(fresh.read_text())
    fresh.replace(file)
    done = carry_on(site, engine)

    assert codes(failed) == {(Outcome.FAILED, "vault-token")}
    assert all(report.error and report.error.hint for report in failed)
    assert done.outcome is Outcome.COMPLETED
    site.check_completed()


@only_real
@AT_EACH_POINT
def test_a_token_that_can_be_replaced_is_not_missed(
    server: "Server", site: Site, let_in: OpenWay, point: str
) -> None:
    """Where rotator logs in by itself, a revoked token stops no pass."""
    source = LoginToken(let_in().way, clock=site.clock.epoch)
    engine = site.begin(source)
    first: list[str] = []

    def revoke() -> None:
        if source.lifetime:
            first.append(source.lifetime.token)
            server.revoke_token(first[0])

    site.at(point, revoke)
    report = site.attempt(engine)

    assert report.outcome is Outcome.COMPLETED
    assert source.lifetime
    assert first != [source.lifetime.token]
    site.check_completed()


@only_real
def test_a_batch_token_is_enough(site: Site, let_in: OpenWay) -> None:
    """A token that cannot be renewed or revoked rotates as any other does."""
    source = LoginToken(let_in(kind="batch").way, clock=site.clock.epoch)
    report = site.attempt(site.begin(source))

    assert report.outcome is Outcome.COMPLETED
    assert source.lifetime
    assert not source.lifetime.renewable
    site.check_completed()


@only_real
def test_a_token_that_expires_is_replaced_by_a_login(
    server: "Server", site: Site, let_in: OpenWay
) -> None:
    """A token that ends between create and push, sooner than was granted, is got anew."""
    source = LoginToken(let_in().way, clock=site.clock.epoch)
    engine = site.begin(source)
    site.at(
        POINTS["between create and push"],
        lambda: server.let_end(source.lifetime.token if source.lifetime else ""),
    )

    assert site.attempt(engine).outcome is Outcome.COMPLETED
    site.check_completed()


def test_a_token_that_expires_for_good_stops_it(
    server: "Server", site: Site, tmp_path: Path
) -> None:
    """Without a login, a token that ends between create and push has to be replaced by hand."""
    file = tmp_path / "token"
    file.write_text(server.issue_token(policy(), ttl=3600))
    engine = site.begin(FileToken(str(file)))
    site.at(POINTS["between create and push"], lambda: server.let_end(file.read_text()))
    failed = failed_passes(site, engine)
    site.check()
    file.write_text(server.issue_token(policy()))
    done = carry_on(site, engine)

    assert codes(failed) == {(Outcome.FAILED, "vault-token")}
    assert done.outcome is Outcome.COMPLETED
    site.check_completed()


@only_real
def test_a_login_that_is_withdrawn_stops_it(server: "Server", site: Site, let_in: OpenWay) -> None:
    """Where neither token nor credential is accepted any more, it goes on with a new credential."""
    access = let_in()
    source = LoginToken(access.way, clock=site.clock.epoch)
    engine = site.begin(source)

    def withdraw() -> None:
        assert source.lifetime
        server.revoke_token(source.lifetime.token)
        access.forbid()

    site.at(POINTS["between create and push"], withdraw)
    failed = failed_passes(site, engine)
    site.check()
    done = carry_on(site, site.begin(LoginToken(let_in().way, clock=site.clock.epoch)))

    assert codes(failed) == {(Outcome.FAILED, "vault-login")}
    assert done.outcome is Outcome.COMPLETED
    site.check_completed()
