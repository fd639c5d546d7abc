"""Ways into a real server, set up from outside by its API."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rotator.vault import AppRole, AuthMethod, Certificate, Jwt, Kubernetes, Trust, Userpass
from tests.contract.issuer import NAMESPACE, SERVICE_ACCOUNT, Issuer, KubernetesApi
from tests.support import certificates

if TYPE_CHECKING:
    from tests.contract.real import Real

METHODS = ("approle", "userpass", "jwt", "kubernetes", "cert")
Policies = Mapping[str, Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a login's token is to be. Spans are seconds."""

    policies: Policies
    ttl: int = 3600
    max_ttl: int = 0
    kind: str = "service"
    uses: int = 0

    def fields(self, policy: str) -> dict[str, Any]:
        """Return the fields that every auth method of a real server knows."""
        return {
            "token_policies": [policy],
            "token_ttl": self.ttl,
            "token_max_ttl": self.max_ttl,
            "token_type": self.kind,
            "token_num_uses": self.uses,
        }


@dataclass(kw_only=True)
class Access:
    """One way into one server."""

    url: str
    way: AuthMethod
    #: The file that holds the credential, and its content.
    file: Path
    content: str
    #: Has Vault take the credential no longer.
    forbid: Callable[[], object]
    trust: Trust = field(default_factory=Trust)


class LoginMaterial:
    """What all ways need: files, certificates, an issuer. Costs nothing until it is used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._kept: dict[str, Any] = {}

    @property
    def issuer(self) -> Issuer:
        """Who signs workload tokens."""
        return self._once("issuer", lambda: Issuer(self.folder))  # type: ignore[no-any-return]

    @property
    def server_certificate(self) -> Path:
        """The server's own certificate, with its key."""
        return self._certificate("server")

    @property
    def client_certificate(self) -> Path:
        """The client's certificate, with its key."""
        return self._certificate("client")

    @property
    def kubernetes(self) -> KubernetesApi:
        """The Kubernetes API that reviews tokens."""
        return self._once("kubernetes", KubernetesApi)  # type: ignore[no-any-return]

    @property
    def trust(self) -> Trust:
        """What connects over TLS as the client."""
        return Trust(
            ca_file=str(self.server_certificate), client_cert_file=str(self.client_certificate)
        )

    def close(self) -> None:
        """Stop what was started."""
        if "kubernetes" in self._kept:
            self.kubernetes.stop()

    def written(self, content: str) -> Path:
        """Write a credential into a file of its own."""
        path = self.folder / str(uuid.uuid4())
        path.write_text(content)
        return path

    def _certificate(self, name: str) -> Path:
        return self._once(name, lambda: certificates.certificate(self.folder, name))  # type: ignore[no-any-return]

    def _once(self, name: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401  # whatever it makes
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]


def of_real(server: "Real", material: LoginMaterial, method: str, terms: Terms) -> Access:
    """Open a way into a real server."""
    mount = f"{method}-{uuid.uuid4()}"
    server.call("POST", f"sys/auth/{mount}", {"type": method})
    fields = terms.fields(server.policy(terms.policies))
    content = _SET_UP[method](server, material, mount, fields)
    file = material.client_certificate if method == "cert" else material.written(content)
    return Access(
        url=server.tls_url if method == "cert" else server.url,
        way=_way(material, method, mount, file, role_id=_role_id(server, mount, method)),
        file=file,
        content=content,
        forbid=lambda: server.call("DELETE", _ROLES[method].format(mount)),
        trust=material.trust if method == "cert" else Trust(),
    )


_ROLES = {
    "approle": "auth/{}/role/rotator",
    "userpass": "auth/{}/users/rotator",
    "jwt": "auth/{}/role/rotator",
    "kubernetes": "auth/{}/role/rotator",
    "cert": "auth/{}/certs/rotator",
}


def _approle(server: "Real", _material: LoginMaterial, mount: str, fields: dict[str, Any]) -> str:
    server.call("POST", f"auth/{mount}/role/rotator", fields)
    made = server.call("POST", f"auth/{mount}/role/rotator/secret-id", {})
    assert made
    return str(made["secret_id"])


def _userpass(server: "Real", _material: LoginMaterial, mount: str, fields: dict[str, Any]) -> str:
    password = str(uuid.uuid4())
    server.call("POST", f"auth/{mount}/users/rotator", {"password": password, **fields})
    return password


def _jwt(server: "Real", material: LoginMaterial, mount: str, fields: dict[str, Any]) -> str:
    keys = [material.issuer.public_key]
    server.call("POST", f"auth/{mount}/config", {"jwt_validation_pubkeys": keys})
    role = {
        "role_type": "jwt",
        "user_claim": "sub",
        "bound_audiences": ["vault"],
        "bound_subject": "rotator",
    }
    server.call("POST", f"auth/{mount}/role/rotator", {**role, **fields})
    return material.issuer.token(sub="rotator", aud="vault")


def _kubernetes(server: "Real", material: LoginMaterial, mount: str, fields: dict[str, Any]) -> str:
    config = {
        "kubernetes_host": material.kubernetes.url,
        "kubernetes_ca_cert": certificates.public_part(material.server_certificate),
        "token_reviewer_jwt": material.issuer.service_account_token(),
        "disable_local_ca_jwt": True,
    }
    server.call("POST", f"auth/{mount}/config", config)
    role = {
        "bound_service_account_names": [SERVICE_ACCOUNT],
        "bound_service_account_namespaces": [NAMESPACE],
    }
    server.call("POST", f"auth/{mount}/role/rotator", {**role, **fields})
    token = material.issuer.service_account_token()
    material.kubernetes.accepted.add(token)
    return token


def _cert(server: "Real", material: LoginMaterial, mount: str, fields: dict[str, Any]) -> str:
    certificate = certificates.public_part(material.client_certificate)
    server.call("POST", f"auth/{mount}/certs/rotator", {"certificate": certificate, **fields})
    return ""


_SET_UP: Mapping[str, Callable[["Real", LoginMaterial, str, dict[str, Any]], str]] = {
    "approle": _approle,
    "userpass": _userpass,
    "jwt": _jwt,
    "kubernetes": _kubernetes,
    "cert": _cert,
}


def _role_id(server: "Real", mount: str, method: str) -> str:
    if method != "approle":
        return ""
    found = server.call("GET", f"auth/{mount}/role/rotator/role-id")
    assert found
    return str(found["role_id"])


def _way(
    material: LoginMaterial, method: str, mount: str, file: Path, role_id: str = "role-1"
) -> AuthMethod:
    path = str(file)
    match method:
        case "approle":
            role_id_file = str(material.written(f"{role_id}\n"))
            return AppRole(role_id_file=role_id_file, secret_id_file=path, mount=mount)
        case "userpass":
            return Userpass(username="rotator", password_file=path, mount=mount)
        case "jwt":
            return Jwt(jwt_file=path, role="rotator", mount=mount)
        case "kubernetes":
            return Kubernetes(role="rotator", jwt_file=path, mount=mount)
        case _:
            return Certificate(role="rotator", mount=mount)
