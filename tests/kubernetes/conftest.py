"""The manifests as `kubectl` renders them."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kubernetes.rendered import OVERLAYS, Rendered

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "ops" / "kubernetes"
#: `make build/kubectl/kubectl` fetches it.
_PINNED = ROOT / "build" / "kubectl" / "kubectl"


def _kubectl() -> str:
    found = str(_PINNED) if _PINNED.exists() else shutil.which("kubectl")
    if found is None:
        pytest.skip("no kubectl: make build/kubectl/kubectl")
    return found


@cache
def _rendered(folder: Path) -> tuple[dict[str, Any], ...]:
    done = subprocess.run(
        [_kubectl(), "kustomize", folder], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    return tuple(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="session")
def with_monitor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the folder whose overlays have the component for the Prometheus operator."""
    copy = tmp_path_factory.mktemp("monitored") / "kubernetes"
    shutil.copytree(FOLDER, copy)
    for file in copy.glob("overlays/*/kustomization.yaml"):
        file.write_text(file.read_text().replace("# components:", "components:"))
    return copy


@pytest.fixture
def render(with_monitor: Path) -> Callable[[str], Rendered]:
    """Return a function that returns an overlay with what is applied beside it, to be changed."""

    def render(name: str) -> Rendered:
        extra = [*FOLDER.glob("*.yaml"), *FOLDER.glob(f"overlays/{name}/volume.yaml")]
        documents = [
            *_rendered(with_monitor / "overlays" / name),
            *(each for file in extra for each in yaml.safe_load_all(file.read_text())),
        ]
        return Rendered.copy_of(name, documents)

    return render


@pytest.fixture(params=OVERLAYS)
def rendered(request: pytest.FixtureRequest, render: Callable[[str], Rendered]) -> Rendered:
    """Return each overlay likewise."""
    return render(request.param)
