"""Which keys each way to log in to Vault takes."""

from collections.abc import Callable, Iterator

from rotator.config.problem import Problem
from rotator.config.vault import AUTH_METHODS, Vault, VaultAuth


def auth_problems(vault: Vault, locate: Callable[[str], str]) -> Iterator[Problem]:
    """Find what is missing for the method, and what belongs to another.

    `locate` gives where a key of `[vault]` or, as `auth.KEY`, of `[vault.auth]` was set.
    """
    auth = vault.auth
    required, optional = AUTH_METHODS[auth.method]
    for key in _given(auth):
        if key not in (*required, *optional):
            yield Problem(
                where=locate(f"auth.{key}"),
                what=f"belongs to {_owners(key)}, not to method {auth.method!r}",
                hint="set vault.auth.method to the way that is meant, or remove the key",
            )
    for key in required:
        if key not in _given(auth):
            yield Problem(
                where=locate(f"auth.{key}"), what=f"is required by method {auth.method!r}"
            )
    if auth.wrapped and auth.secret_id_file is None:
        yield Problem(
            where=locate("auth.wrapped"),
            what="is true, and there is no secret_id_file",
            hint="name the file that holds the wrapping token",
        )
    yield from _client_certificate(vault, locate)


def _client_certificate(vault: Vault, locate: Callable[[str], str]) -> Iterator[Problem]:
    if vault.client_cert_file is not None:
        return
    if vault.auth.method == "cert":
        yield Problem(where=locate("client_cert_file"), what="is required by method 'cert'")
    elif vault.client_key_file is not None:
        yield Problem(
            where=locate("client_key_file"),
            what="is the key of no certificate",
            hint="set vault.client_cert_file too",
        )


def _given(auth: VaultAuth) -> list[str]:
    keys = [key for key in VaultAuth.model_fields if key != "method"]
    return [key for key in keys if getattr(auth, key) is not None]


def _owners(key: str) -> str:
    owners = [
        repr(method)
        for method, (required, optional) in AUTH_METHODS.items()
        if key in (*required, *optional)
    ]
    return f"method{'s' * (len(owners) > 1)} {' and '.join(owners)}"
