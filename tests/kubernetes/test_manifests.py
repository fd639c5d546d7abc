"""The overlays, rendered: valid by the schemas, consistent, and confined."""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions
from packaging.version import Version

from rotator.errors import ConfigError
from rotator.sim import Environment
from tests.kubernetes.consistency import CHECKS, PROBES, ROOT, settings_of
from tests.kubernetes.rendered import (
    OVERLAYS,
    Document,
    Rendered,
    below,
    container_of,
    environment_of,
    pod_of,
    template_of,
)
from tests.kubernetes.restricted import violations

#: In the schemas of older ones, a rule of a Job without `onPodConditions` is not valid.
VERSIONS = [each for each in dict.fromkeys(all_versions()) if Version(each) >= Version("1.29")]
#: From the definition of the Prometheus operator 0.84, the fields that are used.
MONITOR = json.loads((Path(__file__).parent / "servicemonitor.schema.json").read_text())
#: Older than the policy allows.
OLD = datetime.now(UTC) - timedelta(days=40)
ROTATOR = Path(sys.executable).with_name("rotator")


def invalid(document: Document, version: str) -> str | None:
    """Return what a cluster of that version would not take of a document."""
    try:
        if document["kind"] == "ServiceMonitor":
            jsonschema.validate(document, MONITOR)
        else:
            kubernetes_validate.validate(document, version, strict=True)
    except jsonschema.ValidationError as error:
        return str(error.message)
    return None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_supported_version_takes_each_document(rendered: Rendered, version: str) -> None:
    """By the schemas of the server's own types, in which an unknown field is an error."""
    found = {each["kind"]: invalid(each, version) for each in rendered.documents}

    assert {kind: fault for kind, fault in found.items() if fault} == {}


@pytest.mark.parametrize("rendered", ["sqlite"], indirect=True)
def test_an_unknown_field_is_refused(rendered: Rendered) -> None:
    """In any kind, at any depth, and a value of another type."""
    policy, monitor = rendered.one("NetworkPolicy"), rendered.one("ServiceMonitor")
    container_of(rendered.one("StatefulSet"))["readynessProbe"] = {}
    policy["spec"]["egress"][0]["port"] = []
    rendered.one("Service")["spec"]["publishNotReadyAddresses"] = "yes"
    monitor["spec"]["endpoints"][0]["authorization"]["secret"] = {}
    kinds = ("StatefulSet", "NetworkPolicy", "Service", "ServiceMonitor")

    assert [kind for kind in kinds if invalid(rendered.one(kind), VERSIONS[-1])] == list(kinds)


def faults(rendered: Rendered, root: Path) -> list[str]:
    """Return everything that is inconsistent in an overlay, or not confined."""
    found = list(violations(rendered))
    for check in CHECKS:
        try:
            found += check(rendered, root)
        except ConfigError as error:
            found.append(error.message)
    return found


def test_parts_agree_and_are_confined(rendered: Rendered, tmp_path: Path) -> None:
    """Each other's names, rotator's own, and the Pod Security Standard `restricted`."""
    assert faults(rendered, tmp_path) == []


def the_pod(rendered: Rendered) -> Any:  # noqa: ANN401  # a document
    """Return the specification of the pods."""
    return pod_of(rendered.workloads[0])


def the_container(rendered: Rendered) -> Any:  # noqa: ANN401  # a document
    """Return the container of the pods."""
    return container_of(rendered.workloads[0])


def config_of(rendered: Rendered, old: str, new: str) -> None:
    """Replace a text in the configuration."""
    data = rendered.one("ConfigMap")["data"]
    assert old in data["config.toml"]
    data["config.toml"] = data["config.toml"].replace(old, new)


def spec_of(rendered: Rendered, kind: str) -> Any:  # noqa: ANN401  # a document
    """Return the specification of the only document of a kind."""
    return rendered.one(kind)["spec"]


Change = Callable[[Rendered], object]
#: A change to an overlay, and a part of the fault that it is.
BROKEN: dict[str, tuple[str, Change, str]] = {
    "root": (
        "sqlite",
        lambda it: the_pod(it)["securityContext"].update(runAsUser=0),
        "another user than the image's",
    ),
    "may be root": (
        "sqlite",
        lambda it: the_pod(it)["securityContext"].pop("runAsNonRoot"),
        "may run as root",
    ),
    "no seccomp": (
        "cronjob",
        lambda it: the_pod(it)["securityContext"].pop("seccompProfile"),
        "no seccomp profile",
    ),
    "writable root": (
        "postgresql",
        lambda it: the_container(it)["securityContext"].pop("readOnlyRootFilesystem"),
        "security context",
    ),
    "capability": (
        "sqlite",
        lambda it: the_container(it)["securityContext"]["capabilities"].update(add=["SYS_PTRACE"]),
        "security context",
    ),
    "host path": (
        "sqlite",
        lambda it: the_pod(it)["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        "volume hostPath",
    ),
    "host network": ("sqlite", lambda it: the_pod(it).update(hostNetwork=True), "hostNetwork"),
    "host port": (
        "sqlite",
        lambda it: the_container(it)["ports"][0].update(hostPort=9470),
        "a port of the host",
    ),
    "second container": (
        "sqlite",
        lambda it: the_pod(it).update(initContainers=[{}]),
        "further containers",
    ),
    "API token": (
        "sqlite",
        lambda it: the_pod(it).pop("automountServiceAccountToken"),
        "a token for the cluster's API",
    ),
    "misspelled mount": (
        "sqlite",
        lambda it: the_container(it)["volumeMounts"][0].update(name="etcetera"),
        "etcetera is mounted, and is no volume",
    ),
    "ledger not mounted": (
        "sqlite",
        lambda it: the_container(it)["volumeMounts"].pop(),
        "ledger is a volume, and is not mounted",
    ),
    "ledger elsewhere": (
        "sqlite",
        lambda it: the_container(it)["volumeMounts"][-1].update(mountPath="/data"),
        "the ledger /var/lib/rotator/ledger.db is on no claim",
    ),
    "no such claim": (
        "cronjob",
        lambda it: it.documents.remove(it.one("PersistentVolumeClaim")),
        "there is no claim rotator-ledger",
    ),
    "jwt elsewhere": (
        "sqlite",
        lambda it: config_of(it, "tokens/vault", "tokens/rotator"),
        "vault.auth.jwt_file: nothing is mounted at var/run/secrets/tokens/rotator",
    ),
    "URL elsewhere": (
        "postgresql",
        lambda it: the_container(it)["env"][-1].update(value="/etc/rotator/url"),
        "ledger.url_file",
    ),
    "other port": (
        "sqlite",
        lambda it: the_container(it)["env"][0].update(value="0.0.0.0:9471"),
        "it listens at 0.0.0.0:9471",
    ),
    "probe of another port": (
        "sqlite",
        lambda it: the_container(it)["livenessProbe"]["httpGet"].update(port="web"),
        "livenessProbe asks another port",
    ),
    "Service of another port": (
        "sqlite",
        lambda it: spec_of(it, "Service")["ports"][0].update(targetPort="web"),
        "the Service's port",
    ),
    "monitor of another port": (
        "postgresql",
        lambda it: spec_of(it, "ServiceMonitor")["endpoints"][0].update(port="web"),
        "the monitor's port web",
    ),
    "policy of another port": (
        "sqlite",
        lambda it: spec_of(it, "NetworkPolicy")["ingress"][0]["ports"][0].update(port="web"),
        "the policy lets in {'web'}",
    ),
    "unknown path": (
        "sqlite",
        lambda it: the_container(it)["startupProbe"]["httpGet"].update(path="/health"),
        "startupProbe asks for /health",
    ),
    "liveness by Vault": (
        "sqlite",
        lambda it: the_container(it)["livenessProbe"]["httpGet"].update(path="/readyz"),
        "livenessProbe asks for /readyz",
    ),
    "hasty probe": (
        "sqlite",
        lambda it: the_container(it)["readinessProbe"].update(timeoutSeconds=1),
        "readinessProbe does not wait",
    ),
    "no metrics": (
        "sqlite",
        lambda it: spec_of(it, "ServiceMonitor")["endpoints"][0].update(path="/metric"),
        "the monitor asks for",
    ),
    "label": (
        "cronjob",
        lambda it: template_of(it.workloads[0])["metadata"]["labels"].clear(),
        "a pod has the labels {}",
    ),
    "selector": (
        "sqlite",
        lambda it: spec_of(it, "Service")["selector"].update(tier="web"),
        "Service selects",
    ),
    "budget's selector": (
        "postgresql",
        lambda it: spec_of(it, "PodDisruptionBudget")["selector"].update(matchLabels={}),
        "budget selects {}",
    ),
    "policy for all": (
        "postgresql",
        lambda it: spec_of(it, "NetworkPolicy")["podSelector"].update(matchLabels={}),
        "policy selects {}",
    ),
    "monitor's selector": (
        "sqlite",
        lambda it: spec_of(it, "ServiceMonitor")["selector"]["matchLabels"].update(tier="web"),
        "the monitor selects another Service",
    ),
    "job's name": (
        "sqlite",
        lambda it: spec_of(it, "ServiceMonitor").update(jobLabel="app.kubernetes.io/component"),
        "the job is not called rotator",
    ),
    "affinity": (
        "postgresql",
        lambda it: the_pod(it)["affinity"]["podAntiAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ][0]["labelSelector"]["matchLabels"].update(tier="web"),
        "kubernetes.io/hostname selects",
    ),
    "DNS of rotator": (
        "sqlite",
        lambda it: spec_of(it, "NetworkPolicy")["egress"][0]["to"][0]["podSelector"][
            "matchLabels"
        ].update({"app.kubernetes.io/name": "rotator"}),
        "DNS is",
    ),
    "Vault's port": (
        "cronjob",
        lambda it: config_of(it, ":8200", ":8300"),
        "the policy lets out [443, 8200], and a pod needs [443, 8300]",
    ),
    "PostgreSQL's port": (
        "postgresql",
        lambda it: spec_of(it, "NetworkPolicy")["egress"].pop(),
        "the policy lets out [443, 8200], and a pod needs [443, 5432, 8200]",
    ),
    "open policy": (
        "sqlite",
        lambda it: spec_of(it, "NetworkPolicy").update(policyTypes=["Ingress"]),
        "the policy does not cover both ways",
    ),
    "key of a Secret": (
        "sqlite",
        lambda it: the_pod(it)["volumes"][0]["projected"]["sources"][2]["secret"]["items"][
            0
        ].update(key="tokens"),
        "the key 'tokens' of secret rotator-listen-token is made nowhere",
    ),
    "monitor's Secret": (
        "sqlite",
        lambda it: spec_of(it, "ServiceMonitor")["endpoints"][0]["authorization"][
            "credentials"
        ].update(name="rotator-token"),
        "the monitor's key",
    ),
    "namespace": (
        "cronjob",
        lambda it: it.one("PersistentVolumeClaim")["metadata"].update(namespace="default"),
        "PersistentVolumeClaim is in default",
    ),
    "lax namespace": (
        "sqlite",
        lambda it: it.one("Namespace")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "baseline"}
        ),
        "the namespace does not enforce the standard",
    ),
    "account": (
        "sqlite",
        lambda it: the_pod(it).update(serviceAccountName="default"),
        "a pod runs as another account",
    ),
    "account's token": (
        "sqlite",
        lambda it: it.one("ServiceAccount").update(automountServiceAccountToken=True),
        "the account's token is mounted",
    ),
    "service links": (
        "sqlite",
        lambda it: the_pod(it).pop("enableServiceLinks"),
        "Services would be in the environment",
    ),
    "latest": (
        "sqlite",
        lambda it: the_container(it).update(image="registry.example.com/rotator:latest"),
        "the image is registry.example.com/rotator:latest",
    ),
    "hasty end": (
        "sqlite",
        lambda it: the_pod(it).update(terminationGracePeriodSeconds=30),
        "a pod is killed within a step",
    ),
    "blocking budget": (
        "sqlite",
        lambda it: it.one("PodDisruptionBudget").update(
            spec={"minAvailable": 1, "selector": spec_of(it, "PodDisruptionBudget")["selector"]}
        ),
        "the budget is {'minAvailable': 1",
    ),
    "budget of healthy pods": (
        "sqlite",
        lambda it: spec_of(it, "PodDisruptionBudget").pop("unhealthyPodEvictionPolicy"),
        "a pod that is not ready blocks its node",
    ),
    "two on SQLite": ("sqlite", lambda it: spec_of(it, "StatefulSet").update(replicas=2), "there"),
    "two versions": (
        "postgresql",
        lambda it: spec_of(it, "Deployment")["strategy"].update(type="RollingUpdate"),
        "two versions would share a ledger",
    ),
    "parallel Jobs": (
        "cronjob",
        lambda it: it.workloads[0]["spec"].update(concurrencyPolicy="Allow"),
        "Jobs run beside each other",
    ),
    "refusal repeated": (
        "cronjob",
        lambda it: it.workloads[0]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][0][
            "onExitCodes"
        ].update(values=[2]),
        "a Job fails at once by",
    ),
    "drain counted": (
        "cronjob",
        lambda it: it.workloads[0]["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"][1][
            "onPodConditions"
        ][0].update(type="Ready"),
        "a Job ignores",
    ),
    "never repeated": (
        "cronjob",
        lambda it: it.workloads[0]["spec"]["jobTemplate"]["spec"].update(backoffLimit=0),
        "a Job is not repeated",
    ),
    "other age": (
        "cronjob",
        lambda it: config_of(it, 'every = "30d"', 'every = "14d"'),
        "secrets are replaced after 30 days",
    ),
}


@pytest.mark.parametrize(
    ("rendered", "change", "fault"),
    [pytest.param(*case, id=name) for name, case in BROKEN.items()],
    indirect=["rendered"],
)
def test_each_fault_is_found(
    rendered: Rendered, change: Change, fault: str, tmp_path: Path
) -> None:
    """One change to a valid overlay, and what it breaks is named."""
    change(rendered)

    assert any(fault in found for found in faults(rendered, tmp_path))


def test_the_configuration_is_valid_in_each_pod(rendered: Rendered, tmp_path: Path) -> None:
    """By the command, with the files that are mounted, and the overlay's own environment."""
    for workload in rendered.workloads:
        settings_of(rendered, workload, tmp_path)
        environment = {
            key: below(tmp_path, value, workload) for key, value in environment_of(workload).items()
        }
        config = tmp_path / "etc/rotator/config.toml"
        done = subprocess.run(
            [ROTATOR, "config", "check"],
            env={"PATH": os.environ["PATH"], "ROTATOR_CONFIG": str(config), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("rendered", ["sqlite"], indirect=True)
def test_an_editor_knows_the_configuration_s_schema(rendered: Rendered) -> None:
    """By the file's first line, whose path leads to the schema in the source."""
    line = rendered.config.partition("\n")[0]
    schema = ROOT / "ops/kubernetes/base" / line.removeprefix("#:schema ")

    jsonschema.validate(tomllib.loads(rendered.config), json.loads(schema.read_text()))


@pytest.mark.parametrize("rendered", ["sqlite", "postgresql"], indirect=True)
def test_a_daemon_is_what_runs(rendered: Rendered) -> None:
    """By the image's own entry point, `rotator`, and by the path at which it looks by itself."""
    container = the_container(rendered)
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}

    assert container["args"] == ["run"]
    assert "command" not in container
    assert "ROTATOR_CONFIG" not in environment_of(rendered.workloads[0])
    assert mounts["etc"] == "/etc/rotator"


@pytest.mark.parametrize("rendered", ["cronjob"], indirect=True)
def test_jobs_rotate_what_is_old_and_nothing_twice(rendered: Rendered, tmp_path: Path) -> None:
    """As often as they run: by their own command lines, against simulators."""
    rotate, resume = (
        next(each for each in rendered.workloads if each["metadata"]["name"] == f"rotator-{name}")
        for name in ("rotate", "resume")
    )
    lines = [container_of(each) for each in (rotate, rotate, resume)]
    outputs = []
    with Environment.build(accounts=1, subaccounts=0, created_at=OLD) as world:
        token, config = tmp_path / "token", tmp_path / "config.toml"
        token.write_text(world.vault.token)
        config.write_text(world.config(f"sqlite:///{tmp_path}/ledger.db", token))
        for line in lines:
            done = subprocess.run(
                [*line.get("command", ["rotator"]), *line["args"]],
                env={
                    "PATH": f"{ROTATOR.parent}:{os.environ['PATH']}",
                    "ROTATOR_CONFIG": str(config),
                },
                capture_output=True,
                text=True,
                check=False,
                timeout=100,
            )
            outputs.append((done.returncode, done.stdout, done.stderr))
        made = len(world.vonage.history(world.accounts[0].api_key))

    assert [code for code, _, _ in outputs] == [0, 0, 0], outputs
    assert made == 2
    assert "awaiting-deletion" in outputs[0][1]


def test_jobs_have_the_pod_of_the_daemon(render: Callable[[str], Rendered]) -> None:
    """Alike but for the page and the volume's claim: what confines one confines the other."""
    pods = [pod_of(each) for name in ("sqlite", "cronjob") for each in render(name).workloads]
    for pod in pods:
        pod.pop("restartPolicy", None)
        container = pod["containers"][0]
        for key in ("args", "command", "env", "ports", *PROBES):
            container.pop(key, None)
        pod["volumes"] = [each for each in pod["volumes"] if each["name"] != "ledger"]
        etc = pod["volumes"][0]["projected"]
        etc["sources"] = [each for each in etc["sources"] if "secret" not in each]

    assert len(pods) == 3
    assert pods[0] == pods[1] == pods[2]


def test_overlays_are_those_that_are_tested() -> None:
    """A new folder is rendered as well."""
    folder = ROOT / "ops" / "kubernetes" / "overlays"

    assert {each.name for each in folder.iterdir()} == set(OVERLAYS)
