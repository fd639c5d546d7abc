"""TLS: the trusted authorities and rotator's own certificate."""

import os
import re
import ssl
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import NoReturn

import certifi

from rotator.network.exchange import ExchangeFailed, TransportFailure, reason_of

#: Each variable adds authorities, in a file or a folder. They are OpenSSL's, requests' and curl's.
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Usual places of a system's authorities, for a Python whose OpenSSL was built with other paths.
_USUAL = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
#: File name by which OpenSSL finds an authority in a folder.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Files for TLS: trusted authorities, and rotator's own certificate. "" for none."""

    #: Authorities for the server's certificate; "" for the environment's or the system's.
    ca_file: str = ""
    #: rotator's own certificate, for a server that requires one.
    client_cert_file: str = ""
    #: Its key; "" where it is in the certificate's file.
    client_key_file: str = ""


def context(trust: Trust) -> ssl.SSLContext:
    """Return a client's TLS context; rebuilt only after one of the files has changed.

    Raises:
        ExchangeFailed: a file cannot be read, or the key is encrypted.
    """
    authorities = _authorities(trust)
    files = (*authorities, trust.client_cert_file, trust.client_key_file)
    return _context(trust, authorities, tuple(_stamp(file) for file in files if file))


def _authorities(trust: Trust) -> tuple[str, ...]:
    if trust.ca_file:
        return (trust.ca_file,)
    named = (os.environ.get(name, "") for name in _VARIABLES)
    return tuple(dict.fromkeys(filter(None, named))) or _of_system()


@cache
def _of_system() -> tuple[str, ...]:
    """Return OpenSSL's default authorities, if they exist; otherwise one of the usual places."""
    paths = ssl.get_default_verify_paths()
    built_in = [path for path in (paths.openssl_cafile, paths.openssl_capath) if _holds(path)]
    return tuple(built_in) or tuple(path for path in _USUAL if _holds(path))[:1]


def _holds(path: str) -> bool:
    try:
        if os.path.isdir(path):  # noqa: PTH112  # next to os.listdir
            return any(map(_HASHED.fullmatch, os.listdir(path)))  # noqa: PTH208  # ends at the first
        return os.path.getsize(path) > 0  # noqa: PTH202
    except OSError:
        return False


def _stamp(path: str) -> tuple[int, int, int] | None:
    """Return a value that changes when a file is replaced or written to."""
    try:
        found = os.stat(path)  # noqa: PTH116  # at each connection
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


@lru_cache(maxsize=16)
def _context(
    trust: Trust,
    authorities: tuple[str, ...],
    _stamps: tuple[object, ...],
) -> ssl.SSLContext:
    made = _trusting(authorities or (certifi.where(),))
    made.set_alpn_protocols(["http/1.1"])
    if trust.client_cert_file:
        _load_own(made, trust)
    return made


def _trusting(authorities: tuple[str, ...]) -> ssl.SSLContext:
    made: ssl.SSLContext | None = None
    for path in authorities:
        is_folder = os.path.isdir(path)  # noqa: PTH112
        file, folder = (None, path) if is_folder else (path, None)
        try:
            if made is None:
                made = ssl.create_default_context(cafile=file, capath=folder)
            else:
                made.load_verify_locations(cafile=file, capath=folder)
        except OSError as error:
            raise ExchangeFailed(
                TransportFailure.CERTIFICATES, f"{path}: {reason_of(error)}"
            ) from None
    assert made is not None  # noqa: S101  # there is one authority at least
    return made


def _load_own(made: ssl.SSLContext, trust: Trust) -> None:
    certificate, key = trust.client_cert_file, trust.client_key_file or trust.client_cert_file
    try:
        made.load_cert_chain(certificate, key, password=_encrypted)
    except OSError as error:
        files = certificate if key == certificate else f"{certificate} and {key}"
        raise ExchangeFailed(
            TransportFailure.CERTIFICATES, f"{files}: {reason_of(error)}"
        ) from None


def _encrypted() -> NoReturn:
    """Raise, where OpenSSL would ask for a passphrase on the terminal."""
    raise ExchangeFailed(TransportFailure.ENCRYPTED_KEY, "the key is encrypted")
