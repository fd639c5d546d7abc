"""A rendered overlay, and what its parts say of each other."""

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Document = dict[str, Any]

OVERLAYS = ("sqlite", "postgresql", "cronjob")
#: The kinds that have pods.
_WORKLOADS = ("Deployment", "StatefulSet", "CronJob")


@dataclass(kw_only=True)
class Rendered:
    """The documents of an overlay."""

    name: str
    documents: list[Document]

    @classmethod
    def copy_of(cls, name: str, documents: Iterable[Document]) -> "Rendered":
        """Return documents that may be changed."""
        return cls(name=name, documents=copy.deepcopy(list(documents)))

    def of_kind(self, kind: str) -> list[Document]:
        """Return the documents of a kind."""
        return [each for each in self.documents if each["kind"] == kind]

    def one(self, kind: str) -> Document:
        """Return the only document of a kind."""
        (found,) = self.of_kind(kind)
        return found

    @property
    def workloads(self) -> list[Document]:
        """The documents that have pods."""
        return [each for each in self.documents if each["kind"] in _WORKLOADS]

    @property
    def config(self) -> str:
        """The text of the configuration."""
        text: str = self.one("ConfigMap")["data"]["config.toml"]
        return text


def template_of(workload: Document) -> Document:
    """Return a workload's template of a pod."""
    spec: Document = workload["spec"]
    if workload["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    template: Document = spec["template"]
    return template


def pod_of(workload: Document) -> Document:
    """Return the specification of a workload's pods."""
    spec: Document = template_of(workload)["spec"]
    return spec


def container_of(workload: Document) -> Document:
    """Return the only container of a workload's pods."""
    container: Document
    (container,) = pod_of(workload)["containers"]
    return container


def environment_of(workload: Document) -> dict[str, str]:
    """Return the variables that a workload sets."""
    return {each["name"]: each["value"] for each in container_of(workload).get("env", ())}


def projected(workload: Document) -> Iterator[tuple[str, str, str, str]]:
    """Yield kind and name of an object, its key, and the path at which a pod has it.

    The object is a Secret, a ConfigMap or a token; of a ConfigMap without items, the key is "".
    """
    mounts = {each["name"]: each["mountPath"] for each in container_of(workload)["volumeMounts"]}
    for volume in pod_of(workload)["volumes"]:
        at = mounts.get(volume["name"], "")
        for source in volume.get("projected", {}).get("sources", ()):
            ((kind, what),) = source.items()
            if kind == "serviceAccountToken":
                yield "token", what["audience"], "", f"{at}/{what['path']}"
                continue
            items = what.get("items", [{"key": "", "path": ""}])
            for item in items:
                yield kind, what["name"], item["key"], f"{at}/{item['path']}"


def files_of(workload: Document, rendered: Rendered) -> Mapping[str, str]:
    """Return the files that a pod has mounted, with what is in them."""
    samples = {"token": "0123456789abcdef\n", "url": "postgresql://rotator:x@db.example.com/r\n"}
    files = {}
    for _kind, name, key, path in projected(workload):
        if key:
            files[path] = samples.get(key, "-\n")
        elif path.endswith("/"):
            (found,) = [each for each in rendered.documents if each["metadata"]["name"] == name]
            files |= {path + each: text for each, text in found["data"].items()}
        else:
            files[path] = "-\n"
    return files


def below(root: Path, text: str, workload: Document) -> str:
    """Return a text with each mounted path in it moved below `root`."""
    paths = [each["mountPath"] for each in container_of(workload)["volumeMounts"]]
    return re.sub(rf"({'|'.join(map(re.escape, paths))})(?=/)", rf"{root}\1", text)
