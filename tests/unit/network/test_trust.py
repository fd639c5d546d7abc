"""TLS: whom to trust, and a certificate of rotator's own."""

import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rotator.network import ExchangeFailed, TransportFailure, Trust, tls
from tests.support import certificates

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A company's own authority, in a folder as update-ca-certificates leaves it."""
    folder = tmp_path_factory.mktemp("store")
    file = certificates.certificate(folder, "company")
    file.write_text(certificates.public_part(file))
    command = ["openssl", "x509", "-hash", "-noout", "-in", str(file)]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    (folder / f"{name}.0").write_text(file.read_text())
    return file


def subjects(context: ssl.SSLContext) -> set[str]:
    """Return the authorities that were loaded."""
    found: list[dict[str, Any]] = context.get_ca_certs()
    return {dict(pair[0] for pair in each["subject"]).get("commonName", "") for each in found}


def of_system(monkeypatch: pytest.MonkeyPatch, file: Path | str, folder: Path | str) -> None:
    """Make OpenSSL look for the system's store there, and nowhere else."""
    paths = ssl.DefaultVerifyPaths("", "", "F", str(file), "D", str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    monkeypatch.setattr(tls, "_USUAL", ())
    tls._of_system.cache_clear()


@pytest.fixture(autouse=True)
def _forgotten() -> object:
    yield
    tls._of_system.cache_clear()


def test_a_ca_file_alone_is_trusted(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one is named, nobody else is asked."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent")

    assert subjects(tls.context(Trust(ca_file=str(authority)))) == {"company"}


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_environment_names_authorities(
    authority: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """In a file, or in a folder, which is looked into at each handshake."""
    of_system(monkeypatch, "/nonexistent", "/nonexistent")
    path = authority.parent if variable == "SSL_CERT_DIR" else authority
    monkeypatch.setenv(variable, str(path))
    context = tls.context(Trust())

    assert subjects(context) == (set() if variable == "SSL_CERT_DIR" else {"company"})


def test_the_systems_store_is_trusted(authority: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the company put there counts, and not a list that came with a package."""
    of_system(monkeypatch, authority, "/nonexistent")

    assert subjects(tls.context(Trust())) == {"company"}


def test_a_folder_of_the_system_is_a_store(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Debian, where OpenSSL has no file by itself."""
    of_system(monkeypatch, "/nonexistent", authority.parent)

    assert tls._authorities(Trust()) == (str(authority.parent),)
    assert subjects(tls.context(Trust())) == set()


def test_an_openssl_built_for_another_place_finds_the_usual_one(
    authority: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python that was built elsewhere looks where nothing is."""
    of_system(monkeypatch, "/nonexistent", "/nonexistent")
    monkeypatch.setattr(tls, "_USUAL", ("/nonexistent/too", str(authority)))

    assert subjects(tls.context(Trust())) == {"company"}


def test_where_the_system_has_no_store_a_list_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty folder and an empty file are none."""
    (tmp_path / "empty.pem").touch()
    of_system(monkeypatch, tmp_path / "empty.pem", tmp_path)

    assert len(subjects(tls.context(Trust()))) > 50


def test_nobody_else_is_verified_less(authority: Path) -> None:
    """A certificate is demanded, and has to name the host."""
    context = tls.context(Trust(ca_file=str(authority)))

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """A renewed certificate counts from the next connection on; else nothing is read twice."""
    file = tmp_path / "ca.pem"
    file.write_text(certificates.public_part(certificates.certificate(tmp_path, "old")))
    before, again = tls.context(Trust(ca_file=str(file))), tls.context(Trust(ca_file=str(file)))
    file.write_text(certificates.public_part(certificates.certificate(tmp_path, "renewed")))
    after = tls.context(Trust(ca_file=str(file)))

    assert before is again
    assert subjects(before) == {"old"}
    assert subjects(after) == {"renewed"}


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str | None) -> None:
    """With why."""
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(ExchangeFailed) as caught:
        tls.context(Trust(ca_file=str(file)))

    assert caught.value.reason is TransportFailure.CERTIFICATES
    assert str(file) in caught.value.detail


@pytest.mark.parametrize("is_one_file", [False, True])
def test_an_encrypted_key_is_named_and_nobody_is_asked(
    tmp_path: Path, *, is_one_file: bool
) -> None:
    """OpenSSL would wait at the terminal for a passphrase."""
    both = certificates.certificate(tmp_path, "client")
    key, certificate = tmp_path / "encrypted.key", tmp_path / "client.crt"
    certificates.encrypted(both, key)
    certificate.write_text(certificates.public_part(both))
    if is_one_file:
        certificate.write_text(key.read_text() + certificate.read_text())
    trust = Trust(
        ca_file=str(both),
        client_cert_file=str(certificate),
        client_key_file="" if is_one_file else str(key),
    )
    with pytest.raises(ExchangeFailed) as caught:
        tls.context(trust)

    assert caught.value.reason is TransportFailure.ENCRYPTED_KEY


def test_a_key_of_another_certificate_is_an_unreadable_one(tmp_path: Path) -> None:
    """Both files are named, as either may be the wrong one."""
    both = certificates.certificate(tmp_path, "client")
    certificates.certificate(tmp_path, "other")
    trust = Trust(
        ca_file=str(both),
        client_cert_file=str(both),
        client_key_file=str(tmp_path / "other.key"),
    )
    with pytest.raises(ExchangeFailed) as caught:
        tls.context(trust)

    assert caught.value.reason is TransportFailure.CERTIFICATES
    assert "other.key" in caught.value.detail
