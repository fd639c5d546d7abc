"""The Pod Security Standard `restricted`, and what the project adds to it.

From the standard's own page (pod-security-standards, policy `restricted`, which has `baseline` in
it).
"""

from collections.abc import Iterator

from tests.kubernetes.rendered import Document, Rendered, container_of, pod_of

USER = 10001
_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
_HOST = ("hostNetwork", "hostPID", "hostIPC", "hostUsers")


def violations(rendered: Rendered) -> Iterator[str]:
    """Yield what a namespace that enforces the standard would refuse, and what is laxer here."""
    for workload in rendered.workloads:
        pod, name = pod_of(workload), workload["metadata"]["name"]
        yield from (f"{name}: {each}" for each in [*_pod(pod), *_container(container_of(workload))])


def _pod(pod: Document) -> Iterator[str]:
    context = pod["securityContext"]
    yield from (f"{each} is set" for each in _HOST if each in pod)
    for volume in pod["volumes"]:
        yield from (f"volume {each}" for each in volume if each not in {"name"} | _VOLUMES)
    if context.get("runAsNonRoot") is not True:
        yield "may run as root"
    if [context.get(each) for each in ("runAsUser", "runAsGroup", "fsGroup")] != [USER] * 3:
        yield "another user than the image's"
    if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "no seccomp profile"
    if "initContainers" in pod or "ephemeralContainers" in pod or len(pod["containers"]) != 1:
        yield "further containers"
    # The project's own: a token for the cluster's API is of use to an intruder alone.
    if pod.get("automountServiceAccountToken") is not False:
        yield "a token for the cluster's API"


def _container(container: Document) -> Iterator[str]:
    context = container["securityContext"]
    if context != {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }:
        yield f"security context {context}"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "a port of the host"
