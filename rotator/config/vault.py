"""`[vault]` and `[vault.auth]`, as the file has them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

from rotator.config import path
from rotator.config.kind import File, Patience, Timeout, VaultPath, WebUrl
from rotator.config.problem import Unfit, did_you_mean
from rotator.config.table import Table

#: Ways to log in, each with the keys that it needs and those that it may have besides.
AUTH_METHODS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "token": ((), ("token_file",)),
    "approle": (("role_id_file",), ("secret_id_file", "wrapped", "mount")),
    "kubernetes": (("role",), ("jwt_file", "mount")),
    "jwt": (("jwt_file",), ("role", "mount")),
    "cert": ((), ("role", "mount")),
    "userpass": (("username", "password_file"), ("mount",)),
}


def _method(text: str) -> str:
    if text not in AUTH_METHODS:
        raise Unfit(f"is not one of {', '.join(AUTH_METHODS)}{did_you_mean(text, AUTH_METHODS)}")
    return text


def _plain_text(text: str | None) -> str | None:
    if text is not None and not text.isprintable():
        raise Unfit("has control characters")
    return text or None


def _auth_mount(text: str | None) -> str | None:
    if not (text or "").strip("/"):
        return None
    mount = path.vault_path(text or "")
    if mount == "auth" or mount.startswith("auth/"):
        raise Unfit("begins with auth/, which goes without saying")
    return mount


class VaultAuth(Table):
    """`[vault.auth]`: how rotator logs in to Vault. Which keys go together: `AUTH_METHODS`."""

    method: Annotated[str, AfterValidator(_method)] = "token"
    #: Of the auth method; None for its default, its own name.
    mount: Annotated[str | None, AfterValidator(_auth_mount)] = None
    #: None: $VAULT_TOKEN is read at login.
    token_file: File = None
    role_id_file: File = None
    #: None for a role that wants none.
    secret_id_file: File = None
    #: Whether `secret_id_file` holds the token that the secret id is wrapped in.
    wrapped: bool | None = None
    #: None for the method's default role.
    role: Annotated[str | None, AfterValidator(_plain_text)] = None
    #: None for Kubernetes: where it puts the token of a service account.
    jwt_file: File = None
    username: Annotated[str | None, AfterValidator(_plain_text)] = None
    password_file: File = None


class Vault(Table):
    """`[vault]`: how Vault is reached, and where things are in it."""

    address: WebUrl
    #: "" for the root namespace.
    namespace: Annotated[str, AfterValidator(path.namespace)] = ""
    #: Of a KV version 2 engine.
    mount: VaultPath = "secret"
    pending_prefix: VaultPath = "rotator/pending"
    #: None: the system's certificate authorities.
    ca_file: File = None
    #: rotator's own certificate in TLS; None for none.
    client_cert_file: File = None
    #: Its key; None where it is in the same file.
    client_key_file: File = None
    #: Of one request.
    timeout: Timeout = timedelta(seconds=10)
    #: For how long a request is sent again that found Vault away.
    patience: Patience = timedelta(minutes=1)
    auth: VaultAuth = Field(default_factory=VaultAuth)
