"""Certificates for the tests, made with openssl."""

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest


def certificate(folder: Path, name: str, hosts: str = "IP:127.0.0.1") -> Path:
    """Make a self-signed certificate for `hosts`; its key is in the same file.

    Skips the test without openssl.
    """
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is missing")
    key, path = folder / f"{name}.key", folder / f"{name}.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    arguments = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={hosts}"]
    files = ["-keyout", str(key), "-out", str(path)]
    subprocess.run([*command.split(), *arguments, *files], check=True, capture_output=True)
    path.write_text(key.read_text() + path.read_text())
    return path


def public_part(path: Path) -> str:
    """Return the certificate of a file, without its key."""
    begin = "-----BEGIN CERTIFICATE-----"
    return begin + path.read_text().partition(begin)[2]


def encrypted(path: Path, to: Path) -> Path:
    """Write the key of a file to another, with a passphrase."""
    command = ["openssl", "pkey", "-in", str(path), "-aes128", "-passout", "pass:word"]
    subprocess.run([*command, "-out", str(to)], check=True, capture_output=True)
    return to


def server_context(own: Path, clients: Path | None = None) -> ssl.SSLContext:
    """Return a server's TLS context, which accepts a certificate of `clients` too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    if clients:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=public_part(clients))
    return context
