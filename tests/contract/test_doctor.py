"""`doctor` on each server: what it finds of a Vault, as it is and as it may be wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rotator.application import Application
from rotator.config import load
from rotator.doctor import CheckResult, examined
from tests.contract.access import METHODS, Access, LoginMaterial, Terms
from tests.contract.real import only_real
from tests.contract.server import ROOT
from tests.contract.site import Site
from tests.contract.test_vault_policy import EACH, OWN, policy

if TYPE_CHECKING:
    from tests.contract.real import Real


class Practice:
    """One configured account in a Vault, and the doctor that looks at it."""

    def __init__(self, site: Site, folder: Path) -> None:
        """Let rotator in with a token of README's policy."""
        self.site = site
        self.server = site.server
        self.token_file = folder / "token"
        self.use(self.server.issue_token(policy()))
        self.token_file.chmod(0o600)
        self.config = folder / "config.toml"
        #: Of `[vault]` and `[vault.auth]`.
        self.vault: dict[str, Any] = {"address": self.server.url}
        self.auth: dict[str, Any] = {"method": "token", "token_file": str(self.token_file)}

    def use(self, token: str) -> None:
        """Let rotator in with another token."""
        self.token_file.write_text(token)

    def log_in(self, access: Access, **auth: Any) -> None:  # noqa: ANN401  # any key of `[vault.auth]`
        """Let rotator in by a login."""
        self.vault["address"] = access.url
        self.auth = {"method": access.auth_method.method, "mount": access.auth_method.mount, **auth}
        trust = access.trust
        files = {"ca_file": trust.ca_file, "client_cert_file": trust.client_cert_file}
        self.vault |= {key: file for key, file in files.items() if file}

    def examine(self) -> dict[str, list[CheckResult]]:
        """Return all checks by their names."""
        account = self.site.account
        url = self.site.vonage.url
        tables = {
            "[vonage]": {"api_url": url, "rest_url": url},
            "[vault]": self.vault,
            "[vault.auth]": self.auth,
            "[ledger]": {"url": f"sqlite:///{self.site.ledger}"},
            "[[accounts]]": {
                "name": account.name,
                "api_key": account.api_key,
                "vault_path": account.vault_path,
            },
        }
        lines = [
            line
            for header, values in tables.items()
            for line in (header, *(f'{key} = "{value}"' for key, value in values.items()))
        ]
        self.config.write_text("\n".join(lines))
        checks: dict[str, list[CheckResult]] = {}
        with Application(load(self.config, {}), {}) as application:
            for check in examined(application):
                checks.setdefault(check.name, []).append(check)
        return checks


@pytest.fixture
def practice(site: Site, tmp_path: Path) -> Practice:
    """Return one account with all that it needs."""
    return Practice(site, tmp_path)


def verdicts(checks: dict[str, list[CheckResult]]) -> dict[str, list[str]]:
    """Return the verdicts on Vault by name."""
    return {
        name.removeprefix("vault "): [check.verdict.value for check in found]
        for name, found in checks.items()
        if name.startswith(("vault ", "check-and-set"))
    }


WELL = {
    "reachable": ["ok"],
    "sealed": ["ok"],
    "login": ["ok"],
    "token": ["ok"],
    "mount": ["ok"],
    "check-and-set": ["ok"],
    "policy": ["ok"] * 3,
}


def test_a_healthy_vault_is_well(practice: Practice) -> None:
    """With README's policy each row is as it should be, and nothing is changed."""
    before = practice.server.metadata(practice.site.account.vault_path)
    checks = practice.examine()

    assert verdicts(checks) == WELL
    assert [check.verdict.value for check in checks["clock"]] == ["ok", "ok"]
    assert [check.verdict.value for check in checks["credential"]] == ["ok"]
    assert [check.verdict.value for check in checks["rotation"]] == ["ok"]
    assert practice.server.metadata(practice.site.account.vault_path) == before


def test_a_sealed_vault_is_told_from_one_that_is_away(practice: Practice) -> None:
    """It is reachable; the seal is what is wrong, and nothing that depends on it is guessed at."""
    practice.server.seal()
    try:
        checks = practice.examine()
    finally:
        practice.server.unseal()

    assert verdicts(checks) == {"reachable": ["ok"], "sealed": ["failed"]}
    assert checks["vault sealed"][0].hint == "unseal it"


@pytest.mark.parametrize(("path", "capability"), EACH)
def test_a_missing_capability_is_named(practice: Practice, path: str, capability: str) -> None:
    """Each capability that README lists is asked for, and its lack told with its path."""
    rules = policy()
    rules[path].remove(capability)
    practice.use(practice.server.issue_token({at: its for at, its in rules.items() if its}))
    (told,) = [check for check in practice.examine()["vault policy"] if check.verdict != "ok"]

    assert told.finding == f"{capability} is not granted"
    assert told.about.startswith(path.removesuffix("*"))
    # What only `adopt` needs may be left out on purpose.
    is_for_adopting = (path, capability) == ("secret/data/vonage/*", "create")
    assert told.verdict == ("warning" if is_for_adopting else "failed")
    assert is_for_adopting or f'"{capability}"' in (told.hint or "")


@only_real
@pytest.mark.parametrize(
    ("mount", "finding"), [("plain", "is KV version 1"), ("secret/vonage", "inside the mount")]
)
def test_a_mount_that_cannot_be_used_is_named(practice: Practice, mount: str, finding: str) -> None:
    """KV version 1 and a path inside a mount are told as what they are; the login is well."""
    practice.use(ROOT)
    practice.vault["mount"] = mount
    checks = practice.examine()

    assert verdicts(checks) == {
        "reachable": ["ok"],
        "sealed": ["ok"],
        "login": ["ok"],
        "token": ["warning"],
        "mount": ["failed"],
    }
    assert finding in checks["vault mount"][0].finding
    assert checks["vault mount"][0].hint


def test_a_mount_that_is_not_there_is_named(practice: Practice) -> None:
    """To a token that may not see everything, it is denied or not there."""
    practice.vault["mount"] = "nowhere"
    checks = practice.examine()

    assert verdicts(checks)["login"] == ["ok"]
    assert verdicts(checks)["mount"] == ["failed"]
    assert "no mount nowhere, or denies it" in checks["vault mount"][0].finding
    assert verdicts(checks)["policy"] == ["failed"] * 3


def unknown(practice: Practice) -> None:
    """Use a token that nobody issued."""
    practice.use("hvs.Unknown")


def revoked(practice: Practice) -> None:
    """Use a token that was revoked."""
    token = practice.server.issue_token(policy())
    practice.server.revoke_token(token)
    practice.use(token)


def none(practice: Practice) -> None:
    """Use no token."""
    practice.auth = {"method": "token"}


@pytest.mark.parametrize("how", [unknown, revoked, none])
def test_a_bad_token_is_told_from_a_vault_that_is_away(
    practice: Practice, how: Callable[[Practice], None]
) -> None:
    """Reachable and unsealed it is, and the login is what fails."""
    how(practice)
    checks = practice.examine()

    assert verdicts(checks) == {"reachable": ["ok"], "sealed": ["ok"], "login": ["failed"]}
    assert checks["vault login"][0].hint


@only_real
@pytest.mark.parametrize(
    ("terms", "verdict", "finding"),
    [
        ({"ttl": 3600}, "ok", "renewable"),
        ({"ttl": 3600, "type": "batch"}, "warning", "not renewable"),
        ({"ttl": 864000, "type": "batch"}, "ok", "not renewable"),
    ],
)
def test_an_expiring_token_is_told(
    practice: Practice, terms: dict[str, Any], verdict: str, finding: str
) -> None:
    """How long it has, and whether it can be renewed."""
    practice.use(practice.server.issue_token(policy(), **terms))
    (token,) = practice.examine()["vault token"]

    assert token.verdict == verdict
    left, _, renewable = token.finding.partition(" left, ")
    assert renewable == finding
    assert left in ("1h", "59m 59s", "59m 58s", "10d", "9d 23h")


@only_real
def test_a_token_that_may_not_look_itself_up_is_a_warning(practice: Practice) -> None:
    """Without the policy `default` its expiry is not known; it is accepted all the same."""
    rules = {path: granted for path, granted in policy().items() if path not in OWN}
    practice.use(practice.server.issue_token(rules, no_default_policy=True))
    checks = practice.examine()

    assert verdicts(checks)["login"] == ["ok"]
    assert verdicts(checks)["token"] == ["warning"]
    assert "it is not renewed" in checks["vault token"][0].finding
    assert verdicts(checks)["policy"] == ["failed"]
    for check in (checks["vault token"][0], checks["vault policy"][0]):
        assert "lookup-self, renew-self, revoke-self and sys/capabilities-self" in (
            check.hint or ""
        )


@only_real
@pytest.mark.parametrize("path", [each for each in OWN if each.startswith("auth/")])
def test_what_a_token_may_not_do_with_itself_is_a_warning(practice: Practice, path: str) -> None:
    """README's policy is enough without the policy `default`; each of its lines is asked for."""
    rules = policy()
    practice.use(practice.server.issue_token(rules, no_default_policy=True))
    well = verdicts(practice.examine())
    del rules[path]
    practice.use(practice.server.issue_token(rules, no_default_policy=True))
    (told,) = [check for check in practice.examine()["vault policy"] if check.verdict != "ok"]

    assert well == WELL
    assert (told.verdict, told.about) == ("warning", path)
    assert "is not granted: " in told.finding


@only_real
def test_a_token_for_few_requests_is_told(
    server: "Real", practice: Practice, material: LoginMaterial
) -> None:
    """One that was handed in ends by being used; one that is logged in for is replaced."""
    access = server.open_access(material, "approle", Terms(policies=policy(), uses=5))
    practice.log_in(access, **keys(access))
    (told,) = practice.examine()["vault token"]

    assert told.verdict == "ok"
    assert told.finding == "good for 4 more requests; rotator logs in again in time"


def keys(access: Access) -> dict[str, str]:
    """Return the keys of `[vault.auth]` for a login, besides method and mount."""
    auth_method = access.auth_method
    match auth_method.method:
        case "approle":
            role_id = str(auth_method._role_id)  # type: ignore[attr-defined]
            return {"role_id_file": role_id, "secret_id_file": str(access.file)}
        case "userpass":
            return {"username": "rotator", "password_file": str(access.file)}
        case "cert":
            return {"role": "rotator"}
    return {"role": "rotator", "jwt_file": str(access.file)}


@only_real
@pytest.mark.parametrize("method", METHODS)
def test_each_login_is_tried(
    server: "Real", practice: Practice, material: LoginMaterial, method: str
) -> None:
    """Each method is configured as README says, and logs in; once refused, the login is named."""
    access = server.open_access(material, method, Terms(policies=policy()))
    practice.log_in(access, **keys(access))
    well = verdicts(practice.examine())
    access.forbid()
    checks = practice.examine()

    assert {**well, "policy": []} == {**WELL, "policy": []}
    assert verdicts(checks) == {"reachable": ["ok"], "sealed": ["ok"], "login": ["failed"]}
    assert f"refuses the {method} login" in checks["vault login"][0].finding


@only_real
def test_a_namespace_is_looked_into(server: "Real", practice: Practice) -> None:
    """The node's health is asked outside of it, all else inside."""
    space = server.open_namespace(policy())
    practice.vault |= {"address": space.url, "namespace": space.name}
    practice.use(space.token)
    well = verdicts(practice.examine())
    practice.vault["namespace"] = "nowhere"
    wrong = practice.examine()

    assert well == WELL
    assert verdicts(wrong) == {"reachable": ["ok"], "sealed": ["ok"], "login": ["failed"]}
    assert "no such Vault namespace" in wrong["vault login"][0].finding
