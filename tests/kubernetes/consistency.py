"""What the parts of an overlay have to agree on: each other's names, and rotator's own."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rotator import own_version
from rotator.config import Settings, load
from rotator.config.urls import sqlite_path
from rotator.daemon.service import LONGEST_PATIENCE
from rotator.model.times import format_duration
from rotator.web import app
from rotator.web.access import PROBE_PATHS
from tests.kubernetes.rendered import (
    Document,
    Rendered,
    below,
    container_of,
    environment_of,
    files_of,
    pod_of,
    projected,
    template_of,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "kubernetes.md"
#: Ports of a URL without one.
_DEFAULT_PORTS = {"https": 443, "http": 80, "postgresql+psycopg": 5432}
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


def settings_of(rendered: Rendered, workload: Document, root: Path) -> Settings:
    """Return the settings of a pod, whose files are below `root`."""
    for path, text in files_of(workload, rendered).items():
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(below(root, text, workload))
    environment = {
        key: below(root, value, workload) for key, value in environment_of(workload).items()
    }
    return load(root / "etc/rotator/config.toml", environment)


def mounts(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield mounts of no volume, volumes that are not mounted, and claims that are not there."""
    for workload in rendered.workloads:
        templates = workload["spec"].get("volumeClaimTemplates", ())
        volumes = {each["name"]: each for each in pod_of(workload)["volumes"]}
        names = {*volumes, *(each["metadata"]["name"] for each in templates)}
        mounted = {each["name"] for each in container_of(workload)["volumeMounts"]}
        yield from (f"{each} is mounted, and is no volume" for each in mounted - names)
        yield from (f"{each} is a volume, and is not mounted" for each in names - mounted)
        claims = {each["metadata"]["name"] for each in rendered.of_kind("PersistentVolumeClaim")}
        for volume in volumes.values():
            claim = volume.get("persistentVolumeClaim", {}).get("claimName")
            if claim and claim not in claims:
                yield f"there is no claim {claim}"


def paths(rendered: Rendered, root: Path) -> Iterator[str]:
    """Yield files of the settings that no volume has, and a ledger that would not last."""
    for workload in rendered.workloads:
        settings = settings_of(rendered, workload, root)
        tables: Mapping[str, Any] = {
            "vault": settings.vault,
            "vault.auth": settings.vault.auth,
            "ledger": settings.ledger,
            "daemon": settings.daemon,
        }
        for name, table in tables.items():
            for key, value in dict(table).items():
                if isinstance(value, Path) and not value.is_file():
                    yield f"{name}.{key}: nothing is mounted at {value.relative_to(root)}"
        if (file := sqlite_path(settings.ledger.read_url())) and not _is_kept(workload, file):
            yield f"the ledger {file} is on no claim"


def _is_kept(workload: Document, file: str) -> bool:
    claims = {each["metadata"]["name"] for each in workload["spec"].get("volumeClaimTemplates", ())}
    volumes = pod_of(workload)["volumes"]
    claims |= {each["name"] for each in volumes if "persistentVolumeClaim" in each}
    return any(
        each["name"] in claims and Path(file).is_relative_to(each["mountPath"])
        for each in container_of(workload)["volumeMounts"]
    )


def ports(rendered: Rendered, root: Path) -> Iterator[str]:
    """Yield ports that the parts do not agree on."""
    known: dict[str, int] = {}
    for workload in rendered.workloads:
        container = container_of(workload)
        if "ports" in container:
            known = {each["name"]: each["containerPort"] for each in container["ports"]}
            listen = settings_of(rendered, workload, root).daemon.listen
            if [int(listen.rpartition(":")[2])] != list(known.values()):
                yield f"it listens at {listen}, and has the ports {known}"
        for probe in PROBES:
            if probe in container and container[probe]["httpGet"]["port"] not in known:
                yield f"{probe} asks another port"
    policy = rendered.one("NetworkPolicy")["spec"]
    allowed = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
    if allowed != set(known):
        yield f"the policy lets in {allowed}, and a pod has {known}"
    yield from _service_ports(rendered, known)


def _service_ports(rendered: Rendered, known: Mapping[str, int]) -> Iterator[str]:
    for service in rendered.of_kind("Service"):
        served = {each["name"]: each for each in service["spec"]["ports"]}
        for port in served.values():
            if known.get(port["targetPort"]) != port["port"]:
                yield f"the Service's port {port} is none of a pod"
        for monitor in rendered.of_kind("ServiceMonitor"):
            for endpoint in monitor["spec"]["endpoints"]:
                if endpoint["port"] not in served:
                    yield f"the monitor's port {endpoint['port']} is none of the Service"


def addresses(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield probes and metrics at paths that the page does not have so."""
    routes = set(re.findall(r'Route\("([^"]+)"', Path(app.__file__).read_text()))
    for workload in rendered.workloads:
        for probe in PROBES if workload["kind"] != "CronJob" else ():
            found = container_of(workload)[probe]
            path = found["httpGet"]["path"]
            if path not in PROBE_PATHS or path not in routes:
                yield f"{probe} asks for {path}"
            # A liveness probe that depends on Vault would restart every daemon when Vault is away.
            if (path == "/readyz") is not (probe == "readinessProbe"):
                yield f"{probe} asks for {path}"
            if found["timeoutSeconds"] <= app._VAULT_SECONDS:
                yield f"{probe} does not wait until Vault is given up"
    for monitor in rendered.of_kind("ServiceMonitor"):
        paths = {each["path"] for each in monitor["spec"]["endpoints"]}
        if not paths <= routes - set(PROBE_PATHS):
            yield f"the monitor asks for {paths}"


#: The label that every selector has, and nothing else.
_OWN = {"app.kubernetes.io/name": "rotator"}


def selectors(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield selectors that do not match what they are for, or more than that."""
    for workload in rendered.workloads:
        labels = template_of(workload)["metadata"]["labels"]
        if not _OWN.items() <= labels.items():
            yield f"a pod has the labels {labels}"
    for name, chosen in _selectors(rendered):
        if chosen != _OWN:
            yield f"{name} selects {chosen}"
    for monitor in rendered.of_kind("ServiceMonitor"):
        for service in rendered.of_kind("Service"):
            labels = service["metadata"]["labels"]
            if not monitor["spec"]["selector"]["matchLabels"].items() <= labels.items():
                yield "the monitor selects another Service"
            # The alerts name the job.
            if labels.get(monitor["spec"]["jobLabel"]) != "rotator":
                yield "the job is not called rotator"


def _selectors(rendered: Rendered) -> Iterator[tuple[str, Document]]:
    for workload in rendered.workloads:
        if workload["kind"] != "CronJob":
            yield workload["kind"], workload["spec"]["selector"]["matchLabels"]
        pod = pod_of(workload)
        affinity = pod.get("affinity", {}).get("podAntiAffinity", {})
        for term in (
            *pod.get("topologySpreadConstraints", ()),
            *affinity.get("requiredDuringSchedulingIgnoredDuringExecution", ()),
        ):
            yield term["topologyKey"], term["labelSelector"]["matchLabels"]
    for service in rendered.of_kind("Service"):
        yield "Service", service["spec"]["selector"]
    for budget in rendered.of_kind("PodDisruptionBudget"):
        yield "budget", budget["spec"]["selector"]["matchLabels"]
    yield "policy", rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"]


def egress(rendered: Rendered, root: Path) -> Iterator[str]:
    """Yield what a pod has to reach and may not, and what more it may reach."""
    policy = rendered.one("NetworkPolicy")["spec"]
    if sorted(policy["policyTypes"]) != ["Egress", "Ingress"]:
        yield "the policy does not cover both ways"
    (dns, *others) = policy["egress"]
    expected = {
        "to": [
            {
                "namespaceSelector": {
                    "matchLabels": {"kubernetes.io/metadata.name": "kube-system"}
                },
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": each, "port": 53} for each in ("UDP", "TCP")],
    }
    if dns != expected:
        yield f"DNS is {dns}"
    allowed = {port["port"] for rule in others for port in rule["ports"]}
    needed = set()
    for workload in rendered.workloads:
        settings = settings_of(rendered, workload, root)
        vonage, vault, ledger = settings.vonage, settings.vault, settings.ledger.read_url()
        urls = [vonage.api_url, vonage.rest_url, vault.address]
        if sqlite_path(ledger) is None:
            urls.append(ledger)
        needed |= {
            urlsplit(str(url)).port or _DEFAULT_PORTS[urlsplit(str(url)).scheme] for url in urls
        }
    if allowed != needed:
        yield f"the policy lets out {sorted(allowed)}, and a pod needs {sorted(needed)}"


def references(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield what is referred to, and neither there nor made by a command of the documentation."""
    commands = re.findall(
        r"kubectl -n rotator create (secret generic|configmap) (.+)", DOCS.read_text()
    )
    made = {
        ("secret" if kind.startswith("secret") else "configMap", words.split()[0], key)
        for kind, words in commands
        for key in re.findall(r"--from-(?:file|literal)=([\w.]+)=", words)
    }
    there = {each["metadata"]["name"] for each in rendered.of_kind("ConfigMap")}
    for workload in rendered.workloads:
        for kind, name, key, _path in projected(workload):
            if kind != "token" and name not in there and (kind, name, key) not in made:
                yield f"the key {key!r} of {kind} {name} is made nowhere"
    for monitor in rendered.of_kind("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            found = endpoint["authorization"]["credentials"]
            if ("secret", found["name"], found["key"]) not in made:
                yield f"the monitor's key {found} is made nowhere"


def places(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield what is not in the namespace, or runs as another account than the one that is there."""
    namespace = rendered.one("Namespace")
    account = rendered.one("ServiceAccount")
    for level in ("enforce", "warn", "audit"):
        if (
            namespace["metadata"]["labels"].get(f"pod-security.kubernetes.io/{level}")
            != "restricted"
        ):
            yield f"the namespace does not {level} the standard"
    for document in rendered.documents:
        if document is not namespace:
            place = document["metadata"].get("namespace")
            if place != namespace["metadata"]["name"]:
                yield f"{document['kind']} is in {place}"
    if account.get("automountServiceAccountToken") is not False:
        yield "the account's token is mounted"
    for workload in rendered.workloads:
        if pod_of(workload)["serviceAccountName"] != account["metadata"]["name"]:
            yield "a pod runs as another account"
        if pod_of(workload).get("enableServiceLinks") is not False:
            yield "Services would be in the environment"


def image(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield images without a version, or of another one than this."""
    for workload in rendered.workloads:
        name, _, tag = container_of(workload)["image"].rpartition(":")
        if tag != own_version() or not name.endswith("/rotator"):
            yield f"the image is {name}:{tag}"


def ends(rendered: Rendered, _root: Path) -> Iterator[str]:
    """Yield a pod that is killed before a step can end, and budgets that would block a node."""
    unit = (ROOT / "systemd" / "rotator.service").read_text()
    patience = int(re.findall(r"^TimeoutStopSec=(\d+)s$", unit, re.MULTILINE)[0])
    for workload in rendered.workloads:
        if pod_of(workload)["terminationGracePeriodSeconds"] < max(patience, LONGEST_PATIENCE):
            yield "a pod is killed within a step"
    for budget in rendered.of_kind("PodDisruptionBudget"):
        if "minAvailable" in budget["spec"] or budget["spec"]["maxUnavailable"] != 1:
            yield f"the budget is {budget['spec']}"
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield "a pod that is not ready blocks its node"
    replicas = [each["spec"].get("replicas") for each in rendered.workloads]
    if replicas != {"sqlite": [1], "postgresql": [2], "cronjob": [None, None]}[rendered.name]:
        yield f"there are {replicas} pods"
    for workload in rendered.of_kind("Deployment"):
        # docs/operations.md: stop all, upgrade all, start all.
        if workload["spec"]["strategy"] != {"type": "Recreate"}:
            yield "two versions would share a ledger"


def jobs(rendered: Rendered, root: Path) -> Iterator[str]:
    """Yield Jobs that run beside each other, repeat what cannot succeed, or miss the policy."""
    for workload in rendered.of_kind("CronJob"):
        spec, job = workload["spec"], workload["spec"]["jobTemplate"]["spec"]
        if spec["concurrencyPolicy"] != "Forbid" or pod_of(workload)["restartPolicy"] != "Never":
            yield "Jobs run beside each other"
        given_up, ignored = job["podFailurePolicy"]["rules"]
        if given_up != {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [2, 3]}}:
            yield f"a Job fails at once by {given_up}"
        if ignored != {
            "action": "Ignore",
            "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
        }:
            yield f"a Job ignores {ignored}"
        if not job["backoffLimit"] or job["activeDeadlineSeconds"] >= 3600:
            yield "a Job is not repeated, or lasts until the next one"
        days = re.findall(r"'(\d+) days ago'", " ".join(container_of(workload)["args"]))
        every = settings_of(rendered, workload, root).policy.every
        if days and (every is None or f"{days[0]}d" != format_duration(every)):
            yield f"secrets are replaced after {days[0]} days, and the policy has {every}"


CHECKS: tuple[Callable[[Rendered, Path], Iterator[str]], ...] = (
    mounts,
    paths,
    ports,
    addresses,
    selectors,
    egress,
    references,
    places,
    image,
    ends,
    jobs,
)
