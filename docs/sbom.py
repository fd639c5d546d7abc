"""Writes the bill of materials: `python -m docs.sbom` writes ops/sbom.cdx.json from the lock.

The lock has names, versions, hashes and what needs what; the licences are those that the
installed packages declare. The same lock makes the same bytes: no time, no serial number, and no
address of an index.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageMetadata, metadata
from pathlib import Path

from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
BILL = ROOT / "ops" / "sbom.cdx.json"

_ENTRY = re.compile(
    r"^(?P<name>[\w.-]+)==(?P<version>\S+) \\\n"
    r"(?P<hashes>(?:    --hash=\S+(?: \\)?\n)+)"
    r"(?P<reasons>(?:    #.*\n)+)",
    re.MULTILINE,
)
_REASON = re.compile(r"^ +#(?: +via)? +(?!via$)([\w.-]+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One entry of a lock."""

    name: str
    version: str
    #: As the lock has them: `sha256:…`, one for each file of the release.
    hashes: tuple[str, ...]
    #: Those that need it, the project among them.
    needed_by: frozenset[str]


def pins(lock: str) -> list[Pin]:
    """Return the entries of a lock; refuse a lock that is not understood as a whole."""
    rest = _ENTRY.sub("", lock)
    left = [line for line in rest.splitlines() if line and not line.startswith("#")]
    if left:
        message = f"not understood in the lock: {left[0]}"
        raise ValueError(message)
    return [
        Pin(
            name=entry["name"],
            version=entry["version"],
            hashes=tuple(re.findall(r"--hash=(\S+)", entry["hashes"])),
            needed_by=frozenset(_REASON.findall(entry["reasons"])),
        )
        for entry in _ENTRY.finditer(lock)
    ]


def bill(project: dict[str, str], lock: str) -> str:
    """Return the bill of materials of a project with what its lock pins, as CycloneDX 1.6."""
    entries = pins(lock)
    components = {entry.name: _component(entry) for entry in entries}
    root = Component(
        type=ComponentType.APPLICATION,
        name=project["name"],
        version=project["version"],
        description=project["description"],
        licenses=[_declared(project["license"])],
        purl=_purl(project["name"], project["version"]),
        bom_ref=str(_purl(project["name"], project["version"])),
    )
    bom = Bom(components=components.values())
    bom.metadata.component = root
    for name, component in {root.name: root, **components}.items():
        needs = [components[entry.name] for entry in entries if name in entry.needed_by]
        bom.register_dependency(component, needs)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _component(pin: Pin) -> Component:
    purl = _purl(pin.name, pin.version)
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(str(purl)),
        hashes=map(HashTypeFactory().from_composite_str, pin.hashes),
    )
    return Component(
        type=ComponentType.LIBRARY,
        name=pin.name,
        version=pin.version,
        licenses=[_declared(licence) for licence in _licences(_installed(pin))],
        purl=purl,
        bom_ref=str(purl),
        external_references=[files],
    )


def _installed(pin: Pin) -> PackageMetadata:
    found = metadata(pin.name)
    if found["Version"] != pin.version:
        message = f"{pin.name} {found['Version']} is installed, and {pin.version} is in the lock"
        raise ValueError(message)
    return found


def _licences(package: PackageMetadata) -> Iterator[str]:
    """Yield what a package declares: an expression, else a short text, else its classifiers."""
    fields = package.json
    declared = fields.get("license_expression") or fields.get("license")
    if isinstance(declared, str):
        yield declared
        return
    for classifier in fields.get("classifier", []):
        if classifier.startswith("License :: "):
            yield classifier.rpartition(" :: ")[2]


def _declared(licence: str) -> License:
    return LicenseFactory().make_from_string(
        licence, license_acknowledgement=LicenseAcknowledgement.DECLARED
    )


def _purl(name: str, version: str) -> PackageURL:
    return PackageURL("pypi", None, name, version)


def main() -> None:
    """Write the bill of materials."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    BILL.write_text(bill(project, LOCK.read_text()))


if __name__ == "__main__":
    main()
