"""The manifests, by the fields of their kinds, and the gate, with a `kubectl` that names two."""

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.examples.conftest import EXAMPLES, ROTATOR

FOLDER = EXAMPLES / "kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
TEXT, NAME, DURATION = r".+", r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", r"\d+(s|m|h)"

#: The fields that the manifests use, of each kind: a pattern for texts, a type for other scalars,
#: a list's one item, a table of fields, or `...` for what any content may have. From the operators'
#: own definitions: External Secrets Operator 2.0 and Vault Secrets Operator 1.0.
METADATA = {"name": NAME, "namespace": NAME, "annotations": ..., "labels": ...}
SPECS: Mapping[tuple[str, str], Any] = {
    ("external-secrets.io/v1", "SecretStore"): {
        "provider": {
            "vault": {
                "server": r"https://\S+",
                "path": TEXT,
                "version": "v1|v2",
                "auth": {
                    "kubernetes": {
                        "mountPath": TEXT,
                        "role": TEXT,
                        "serviceAccountRef": {"name": NAME},
                    }
                },
            }
        }
    },
    ("external-secrets.io/v1", "ExternalSecret"): {
        "refreshInterval": DURATION,
        "refreshPolicy": "CreatedOnce|Periodic|OnChange",
        "secretStoreRef": {"kind": "SecretStore|ClusterSecretStore", "name": NAME},
        "target": {"name": NAME, "creationPolicy": "Owner|Orphan|Merge|None"},
        "data": [
            {"secretKey": r"[-._a-zA-Z0-9]+", "remoteRef": {"key": TEXT, "property": TEXT}},
        ],
    },
    ("secrets.hashicorp.com/v1beta1", "VaultConnection"): {
        "address": r"https://\S+",
        "skipTLSVerify": bool,
    },
    ("secrets.hashicorp.com/v1beta1", "VaultAuth"): {
        "vaultConnectionRef": TEXT,
        "method": "kubernetes|jwt|appRole|aws|gcp",
        "mount": TEXT,
        "kubernetes": {"role": TEXT, "serviceAccount": NAME},
    },
    ("secrets.hashicorp.com/v1beta1", "VaultStaticSecret"): {
        "vaultAuthRef": TEXT,
        "type": "kv-v1|kv-v2",
        "mount": TEXT,
        "path": TEXT,
        "refreshAfter": DURATION,
        "destination": {
            "name": NAME,
            "create": bool,
            "transformation": {"excludeRaw": bool, "excludes": [TEXT], "templates": ...},
        },
        "rolloutRestartTargets": [{"kind": "Deployment|DaemonSet|StatefulSet", "name": NAME}],
    },
    ("apps/v1", "Deployment"): {
        "progressDeadlineSeconds": int,
        "selector": {"matchLabels": ...},
        "template": {
            "metadata": {"labels": ...},
            "spec": {
                "serviceAccountName": NAME,
                "containers": [
                    {
                        "name": NAME,
                        "image": TEXT,
                        "ports": [{"containerPort": int}],
                        "envFrom": [{"secretRef": {"name": NAME}}],
                        "volumeMounts": [{"name": NAME, "mountPath": TEXT, "readOnly": bool}],
                    }
                ],
                "volumes": [{"name": NAME, "secret": {"secretName": NAME}}],
            },
        },
    },
}


def faults(value: object, schema: Any, place: str = "") -> Iterator[str]:  # noqa: ANN401  # see `SPECS`
    """Yield where a value is not what a schema has."""
    match schema:
        case dict() if isinstance(value, dict):
            yield from (f"{place}.{key} is unknown" for key in value if key not in schema)
            for key in value.keys() & schema.keys():
                yield from faults(value[key], schema[key], f"{place}.{key}")
        case [item] if isinstance(value, list):
            for index, each in enumerate(value):
                yield from faults(each, item, f"{place}[{index}]")
        case str() if isinstance(value, str):
            if not re.fullmatch(schema, value):
                yield f"{place} is {value!r}"
        case type() if type(value) is schema:
            pass
        case _ if schema is not ...:
            yield f"{place} is {value!r}"


def documents(path: Path) -> list[dict[str, Any]]:
    """Return the documents of a manifest."""
    return list(yaml.safe_load_all(path.read_text()))


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_manifests_have_the_fields_of_their_kinds(path: Path) -> None:
    """A cluster would take them; no unknown field is dropped without a word."""
    whole = {"apiVersion": TEXT, "kind": TEXT, "metadata": METADATA}
    for each in documents(path):
        spec = SPECS[each["apiVersion"], each["kind"]]

        assert list(faults(each, whole | {"spec": spec})) == []


def test_what_is_no_field_is_found() -> None:
    """A misspelled key, a value of another type, and one that is none of those possible."""
    [_, secret, _] = documents(FOLDER / "external-secrets.yaml")
    spec = secret["spec"] | {"refreshIntervall": "5m", "refreshPolicy": "Sometimes", "data": "x"}
    schema = SPECS[secret["apiVersion"], secret["kind"]]

    assert set(faults(spec, schema)) == {
        ".refreshIntervall is unknown",
        ".refreshPolicy is 'Sometimes'",
        ".data is 'x'",
    }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_parts_of_a_manifest_name_each_other(path: Path) -> None:
    """The pods use the Secret that is written, which has the value and the id."""
    by_kind = {each["kind"]: each for each in documents(path)}
    pod = by_kind["Deployment"]["spec"]["template"]["spec"]
    if external := by_kind.get("ExternalSecret"):
        spec = external["spec"]
        written = spec["target"]["name"], {each["secretKey"] for each in spec["data"]}
        used = pod["volumes"][0]["secret"]["secretName"]
        assert spec["secretStoreRef"]["name"] == by_kind["SecretStore"]["metadata"]["name"]
        assert by_kind["Deployment"]["metadata"]["annotations"].popitem()[1] == written[0]
    else:
        spec = by_kind["VaultStaticSecret"]["spec"]
        templates = spec["destination"]["transformation"]["templates"]
        written = spec["destination"]["name"], set(templates)
        used = pod["containers"][0]["envFrom"][0]["secretRef"]["name"]
        [target] = spec["rolloutRestartTargets"]
        assert target["name"] == by_kind["Deployment"]["metadata"]["name"]
        assert spec["vaultAuthRef"] == by_kind["VaultAuth"]["metadata"]["name"]

    assert written == (used, {"api_key", "api_secret", "secret_id"})


@contextmanager
def pod(answer: str) -> Iterator[str]:
    """Serve a pod's answer; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/vonage-secret"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        (["new-secret", '{"secret_id": "new-secret"}'], 0, ""),
        (["new-secret", "old-secret"], 1, ""),
        ([], 1, "no pod of sms-gateway is running"),
    ],
    ids=["all", "one of two", "none"],
)
def test_the_gate_asks_each_pod(tmp_path: Path, answers: list[str], code: int, words: str) -> None:
    """Open once all of them use the new secret; shut, too, where none runs."""
    with ExitStack() as pods:
        urls = [pods.enter_context(pod(answer)) for answer in answers]
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\nprintf '%s ' {' '.join(urls)}\n")
        if not urls:
            (tmp_path / "kubectl").write_text("#!/bin/sh\n")
        (tmp_path / "kubectl").chmod(0o755)
        (tmp_path / "rotator").symlink_to(ROTATOR)
        environment = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ROTATOR_EVENT": "gate",
            "ROTATOR_SECRET_ID": "new-secret",
            "ROTATOR_OLD_SECRET_ID": "old-secret",
            "ROTATOR_VAULT_VERSION": "7",
        }
        done = subprocess.run(
            [FOLDER / "gate.sh"], env=environment, capture_output=True, text=True, check=False
        )

    assert done.returncode == code, done
    assert words in done.stderr
