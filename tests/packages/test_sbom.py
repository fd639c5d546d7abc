"""The bill of materials, which scanners read, and the lock that it must agree with."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from docs import sbom

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXT = (ROOT / "ops" / "sbom.cdx.json").read_text()
DOCUMENT: dict[str, Any] = json.loads(TEXT)
COMPONENTS: list[dict[str, Any]] = DOCUMENT["components"]


def locked() -> dict[str, set[str]]:
    """Return each `name==version` of the lock with its hashes, read line by line."""
    pins: dict[str, set[str]] = {}
    pin = ""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line[:1].isalnum():
            pin = line.removesuffix(" \\")
            pins[pin] = set()
        elif found := re.fullmatch(r" +--hash=sha256:([0-9a-f]{64})(?: \\)?", line):
            pins[pin].add(found[1])
    return pins


def hashes(component: dict[str, Any]) -> set[str]:
    """Return the digests of a component's files."""
    return {
        hashed["content"]
        for reference in component["externalReferences"]
        for hashed in reference["hashes"]
    }


def test_it_agrees_with_the_lock() -> None:
    """Who changes the lock or the version writes the bill anew: make sbom."""
    listed = {f"{each['name']}=={each['version']}": hashes(each) for each in COMPONENTS}

    assert sbom.bill(PROJECT, sbom.LOCK.read_text()) == TEXT
    assert listed == locked()
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in COMPONENTS)


def test_it_is_cyclonedx() -> None:
    """The bill is valid by the strict schema of CycloneDX 1.6."""
    assert DOCUMENT["specVersion"] == "1.6"
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(TEXT) is None


def test_it_describes_this_release() -> None:
    """The component that the bill is about is rotator in its version and under its licence."""
    about = DOCUMENT["metadata"]["component"]

    assert (about["name"], about["version"]) == (PROJECT["name"], PROJECT["version"])
    assert [each["license"]["id"] for each in about["licenses"]] == [PROJECT["license"]]


def test_every_component_is_needed_by_rotator() -> None:
    """Each component can be reached from rotator, and has a licence."""
    needs = {each["ref"]: each.get("dependsOn", []) for each in DOCUMENT["dependencies"]}
    reached: set[str] = set()
    left = [DOCUMENT["metadata"]["component"]["bom-ref"]]
    while left:
        ref = left.pop()
        reached.add(ref)
        left += [need for need in needs[ref] if need not in reached]

    assert reached == set(needs)
    assert {each["bom-ref"] for each in COMPONENTS} < reached
    assert all(each["licenses"] for each in COMPONENTS)


def test_it_names_no_moment_and_no_place() -> None:
    """The bill has no time, serial number, index or path: the same lock makes the same bytes."""
    addresses = set(re.findall(r"[a-z+]+://[^\s\"]+", TEXT))

    assert "serialNumber" not in DOCUMENT
    assert "timestamp" not in DOCUMENT["metadata"]
    assert addresses == {DOCUMENT["$schema"]}
    assert not re.search(r'"/\w', TEXT)


@pytest.mark.parametrize(
    "entry",
    [
        "alembic==1.20.1\n    # via rotator\n",
        "alembic>=1.20.1 \\\n    --hash=sha256:00\n    # via rotator\n",
        "alembic @ file:///x \\\n    --hash=sha256:00\n    # via rotator\n",
    ],
)
def test_a_lock_that_is_not_understood_is_refused(entry: str) -> None:
    """An entry without a hash or an exact version is refused; the bill would lack it."""
    with pytest.raises(ValueError, match="not understood in the lock: alembic"):
        sbom.pins(entry)


def test_a_licence_is_of_the_version_in_the_lock() -> None:
    """A package that is installed in another version than the lock's is refused."""
    lock = "alembic==1.0 \\\n    --hash=sha256:00\n    # via rotator\n"

    with pytest.raises(ValueError, match=r"alembic \S+ is installed, and 1\.0 is in the lock"):
        sbom.bill(PROJECT, lock)
