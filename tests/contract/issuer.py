"""Who issues workload tokens: an OIDC issuer with a static key, and a Kubernetes API."""

import base64
import json
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

NAMESPACE, SERVICE_ACCOUNT = "default", "rotator"


class Issuer:
    """Signs tokens with an RSA key."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("signs tokens with openssl, which is not there")
        self._key = folder / "issuer.key"
        self._openssl("genpkey", "-algorithm", "RSA", "-out", str(self._key))
        self.public_key = self._openssl("pkey", "-in", str(self._key), "-pubout").decode()

    def token(self, **claims: Any) -> str:  # noqa: ANN401  # JSON
        """Sign a token that is good for an hour."""
        now = int(time.time())
        times = {"iat": now, "nbf": now - 60, "exp": now + 3600}
        parts = [{"alg": "RS256", "typ": "JWT"}, {"iss": "tests", **times, **claims}]
        signed = ".".join(_encoded(json.dumps(part).encode()) for part in parts)
        signature = self._openssl("dgst", "-sha256", "-sign", str(self._key), given=signed.encode())
        return f"{signed}.{_encoded(signature)}"

    def service_account_token(self) -> str:
        """Sign a token as Kubernetes does for a pod."""
        account = {"name": SERVICE_ACCOUNT, "uid": "uid-1"}
        return self.token(
            sub=f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
            aud=["https://kubernetes.default.svc"],
            **{"kubernetes.io": {"namespace": NAMESPACE, "serviceaccount": account}},
        )

    def _openssl(self, *arguments: str, given: bytes = b"") -> bytes:
        done = subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True)
        return done.stdout


class KubernetesApi(ThreadingHTTPServer):
    """Reviews tokens as Kubernetes does: it accepts those it was told of, and no other."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Review)
        self.accepted: set[str] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Review(BaseHTTPRequestHandler):
    server: KubernetesApi

    def do_POST(self) -> None:
        """Answer `/apis/authentication.k8s.io/v1/tokenreviews`."""
        length = int(self.headers["Content-Length"])
        review = json.loads(self.rfile.read(length))
        known = review["spec"]["token"] in self.server.accepted
        user = {
            "username": f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}",
            "uid": "uid-1",
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"],
        }
        audiences = review["spec"].get("audiences", [])
        review["status"] = {"authenticated": known, "user": user, "audiences": audiences}
        body = json.dumps(review).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's word
        """Log nothing."""


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
