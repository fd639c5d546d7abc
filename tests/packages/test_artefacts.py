"""What is published: sdist and wheel, the same bytes wherever they are built, and complete."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from venv import EnvBuilder

import pytest
import trove_classifiers
from packaging.metadata import Metadata

from docs import release

ROOT = Path(__file__).parents[2]
VERSION = release.version_of((ROOT / "pyproject.toml").read_text())
WHEEL = f"vonage_rotator-{VERSION}-py3-none-any.whl"
SDIST = f"vonage_rotator-{VERSION}.tar.gz"
#: Besides folders that only a checkout has: what a build must neither need nor take in.
LEFT_OUT = (".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "build", "dist", "tests")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with sdist and wheel: those of a release, or built here in the same way."""
    if folder := os.environ.get("RELEASE"):
        return Path(folder)
    target = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(ROOT)]
    environment = {name: os.environ[name] for name in os.environ if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    return target


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of sdist and wheel in a folder."""
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in (WHEEL, SDIST)
    }


def test_each_build_makes_the_same_bytes(built: Path, tmp_path: Path) -> None:
    """Another folder, umask, time zone and time change no byte; nor does the way by the sdist.

    The first wheel was built from the sdist, as `python -m build` does; this one is built from the
    checkout.
    """
    copy = tmp_path / "elsewhere"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    command = "umask 077 && exec python -m hatchling build -t sdist -t wheel -d again"
    subprocess.run(
        ["sh", "-c", command],
        cwd=copy,
        env={"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "TZ": "Pacific/Apia"},
        capture_output=True,
        check=True,
    )

    assert digests(copy / "again") == digests(built)


def test_the_metadata_are_what_an_index_takes(built: Path) -> None:
    """The metadata of both are valid, the same, and say what pyproject.toml says."""
    with zipfile.ZipFile(built / WHEEL) as wheel:
        text = wheel.read(f"vonage_rotator-{VERSION}.dist-info/METADATA")
    with tarfile.open(built / SDIST) as sdist:
        info = sdist.extractfile(f"vonage_rotator-{VERSION}/PKG-INFO")
        assert info
        of_sdist = info.read()
    metadata = Metadata.from_email(text, validate=True)

    assert of_sdist == text
    assert (metadata.name, str(metadata.version)) == ("vonage-rotator", VERSION)
    assert metadata.license_expression == "Apache-2.0"
    assert metadata.license_files == ["LICENSE"]
    assert metadata.description_content_type == "text/markdown"
    assert metadata.description == (ROOT / "README.md").read_text()
    assert {*(metadata.classifiers or [])} <= trove_classifiers.classifiers


def test_the_wheel_holds_what_an_installation_needs_and_nothing_else(built: Path) -> None:
    """The package with its migrations, the data beside it and the bill of materials; no test."""
    with zipfile.ZipFile(built / WHEEL) as wheel:
        names = wheel.namelist()
        bill = wheel.read(f"vonage_rotator-{VERSION}.dist-info/sboms/sbom.cdx.json")
        texts = b"".join(map(wheel.read, names))
    tops = {name.partition("/")[0] for name in names}

    kinds = {f"vonage_rotator-{VERSION}.{kind}" for kind in ("dist-info", "data")}
    assert tops == {"rotator", *kinds}
    assert f"vonage_rotator-{VERSION}.data/data/share/man/man1/rotator.1" in names
    assert any(re.match(r"rotator/migrations/versions/\d{4}_", name) for name in names)
    assert not [name for name in names if re.search(r"\.pyc$|\btests?\b|\.toml~$", name)]
    assert bill == (ROOT / "ops" / "sbom.cdx.json").read_bytes()
    assert bytes(ROOT) not in texts


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_sdist_rotates_in_a_clean_place(released: Path, tmp_path: Path) -> None:
    """Built into an empty environment, beside the packages of the locks alone, it rotates."""
    EnvBuilder(with_pip=True).create(tmp_path / "venv")
    binaries = tmp_path / "venv" / "bin"
    pip = [str(binaries / "python"), "-m", "pip", "--quiet", "install"]
    locks = [f"--requirement={ROOT / each}.lock" for each in ("requirements", "requirements-build")]
    for arguments in (
        ["--require-hashes", *locks],
        ["--no-deps", "--no-build-isolation", str(released / SDIST)],
    ):
        done = subprocess.run([*pip, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    rotator = [str(binaries / "rotator"), "--config", str(tmp_path / "simulated.toml")]
    simulators = [*rotator[:1], "sim", "--accounts", "1", "--write-config", rotator[2]]
    with subprocess.Popen(simulators, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        command = [*rotator, "rotate-now", "account-1", "--grace", "0s", "--json"]
        rotated = subprocess.run(command, capture_output=True, text=True, check=False)
        process.terminate()
    version = subprocess.run([*rotator, "--version"], capture_output=True, text=True, check=True)

    assert version.stdout == f"rotator {VERSION}\n"
    assert rotated.returncode == 0, rotated.stderr
    assert [each["outcome"] for each in json.loads(rotated.stdout)] == ["completed"]


@pytest.mark.slow
def test_a_release_is_whole(released: Path) -> None:
    """A release has each kind of package once, all of this version."""
    assert {path.name for path in released.iterdir()} == {
        WHEEL,
        SDIST,
        f"rotator_{VERSION}-1_amd64.deb",
        f"rotator-{VERSION}.docker.tar",
        "requirements.lock",
        "sbom.cdx.json",
    }


@pytest.mark.slow
def test_the_packages_name_this_version(released: Path) -> None:
    """The Debian package and the image say which version they are."""
    package = released / f"rotator_{VERSION}-1_amd64.deb"
    image = f"docker-archive:{released / f'rotator-{VERSION}.docker.tar'}"
    label = '{{ index .Labels "org.opencontainers.image.version" }}'
    answers = [
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        for command in (
            ["dpkg-deb", "--field", str(package), "Version"],
            ["skopeo", "inspect", "--format", label, image],
        )
    ]

    assert answers == [f"{VERSION}-1", VERSION]
