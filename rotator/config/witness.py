"""`[ledger.witness]`: where checkpoints of the ledger are published."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from rotator.config import types, urls
from rotator.config.errors import ConfigProblem, Location
from rotator.config.types import File, Positive, Table, form

if TYPE_CHECKING:
    from rotator.config.sections import VaultSettings

#: A log's name. Source: C2SP's signed-note, for the names of keys; the length is ours.
_NAME = r"[!-*,-~]{1,200}"
_NAME_RULE = "is not a log's name: up to 200 visible ASCII characters without blanks and +"


def _name(text: str) -> str:
    return types.written_as(_NAME, _NAME_RULE, text) if text else text


def _path(text: str) -> str:
    return types.vault_path(text) if text else text


def _url(text: str) -> str:
    return urls.witness_url(text) if text else text


class WitnessSettings(Table):
    """`[ledger.witness]`: who is shown what the ledger was, and how often."""

    #: A file with the Ed25519 key that signs checkpoints, in PEM.
    key_file: File = None
    #: The log's name; "" for one by the ledger's id.
    name: Annotated[str, AfterValidator(_name), form(f"|{_NAME}")] = ""
    #: An existing directory that gets a file for each checkpoint.
    directory: File = None
    #: Address that each checkpoint is sent to; "" for none.
    url: Annotated[str, AfterValidator(_url), form(f"|{urls.HOOK_FORM}")] = ""
    #: An entry in Vault for the newest checkpoint, in the mount of the accounts; "" for none.
    vault_path: Annotated[
        str,
        AfterValidator(_path),
        form(f"|{types.VAULT_PATH_FORM}", **{"not": {"pattern": r"(^|/)\.\.?(/|$)"}}),
    ] = ""
    #: Time from one checkpoint to the next.
    every: Positive = timedelta(days=1)

    @property
    def is_on(self) -> bool:
        """Whether checkpoints are taken."""
        return self.key_file is not None


def witness_problems(
    witness: WitnessSettings,
    place: Location,
    vault: "VaultSettings | None",
    paths: Iterable[str],
) -> Iterator[ConfigProblem]:
    """Yield the problems between keys.

    `paths` are those of the accounts' entries in Vault, of which patterns may be meant.
    """
    targets = {key: getattr(witness, key) for key in ("directory", "url", "vault_path")}
    given = [key for key, value in targets.items() if value]
    if witness.key_file is None and given:
        hint = "set key_file: `rotator ledger witness key --help` says how to make one"
        yield place.problem(given[0], "needs a key that signs checkpoints", hint)
    if witness.key_file is not None and not given:
        hint = "set directory, url or vault_path beside it"
        yield place.problem("key_file", "signs what is published nowhere", hint)
    if not witness.vault_path or vault is None:
        return
    # Of a pattern, the folder that all of its paths are below.
    fixed = (_folder(path) if "{" in path else path for path in paths)
    taken = dict.fromkeys(filter(None, fixed), "accounts")
    taken[vault.pending_prefix] = "vault.pending_prefix"
    for path, whose in taken.items():
        if _meet(witness.vault_path, path):
            what = f"{witness.vault_path!r} is at, below or above {path!r} of {whose}"
            yield place.problem("vault_path", what, "give it a path of its own, as rotator/witness")
            return


def _folder(pattern: str) -> str:
    return pattern.partition("{")[0].rpartition("/")[0]


def _meet(one: str, other: str) -> bool:
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
