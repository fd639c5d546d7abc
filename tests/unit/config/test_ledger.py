"""`[ledger]`: the URL of the record, and the file that may hold it."""

from pathlib import Path

import pytest
from sqlalchemy import make_url
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from rotator.config import LedgerSettings
from rotator.errors import ConfigError
from tests.unit.config.file import SMS, VAULT, Read, Refuse, seen


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@host/db",
        "postgresql://me:hun/ter2@host/db",
        "postgresql://me:@host/db",
        "postgresql+psycopg://host/db?user=me&password=hunter2",
        "postgresql+psycopg://host/db?sslPassword=hunter2",
        "postgresql+psycopg://host/db?pass%77ord=hunter2",
    ],
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_ledger_url_with_a_password_is_refused(
    refuse: Refuse, url: str, *, by_environment: bool
) -> None:
    """A password is taken neither in the file's URL nor in the environment's."""
    environ = {"ROTATOR_LEDGER__URL": url} if by_environment else {}
    text = "" if by_environment else f'[ledger]\nurl = "{url}"\n'
    error = refuse(VAULT + SMS + text, environ)

    where = "$ROTATOR_LEDGER__URL" if by_environment else "ledger.url"
    assert error.message.endswith(f"config.toml: {where}: the value has a password")
    assert "ledger.url_file" in str(error.hint)
    assert "ter2" not in seen(error)


@pytest.mark.parametrize(
    ("url", "effective"),
    [
        ("sqlite:////srv/ledger.db", "sqlite:////srv/ledger.db"),
        ("postgresql://host/db", "postgresql+psycopg://host/db"),
        ("postgresql+psycopg:///db", "postgresql+psycopg:///db"),
        ("postgresql+psycopg://me@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("postgresql+psycopg://[::1]:5432/db", "postgresql+psycopg://[::1]:5432/db"),
        ("postgresql://h/db?sslmode=require", "postgresql+psycopg://h/db?sslmode=require"),
        ("postgresql:///db?host=/run/postgresql", "postgresql+psycopg:///db?host=/run/postgresql"),
    ],
)
def test_ledger_urls_are_taken(read: Read, url: str, effective: str) -> None:
    """SQLite files and PostgreSQL databases without a password are ledgers."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl = "{url}"\n').ledger

    assert ledger.url == effective
    assert ledger.read_url() == effective


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://me@a:5432,b:6432/db", {"host": "a,b", "port": "5432,6432"}),
        ("postgresql://me@a,b/db", {"host": "a,b", "port": "5432,5432"}),
        ("postgresql://me@[::1]:1,[::2],c:3/db", {"host": "::1,::2,c", "port": "1,5432,3"}),
        ("postgresql://me@/db?host=a:1&host=b:2", {"host": "a,b", "port": "1,2"}),
        ("postgresql://me@/db?host=/a&host=/b", {"host": "/a,/b", "port": ","}),
    ],
)
@pytest.mark.parametrize("query", ["", "target_session_attrs=read-write"])
def test_ledger_urls_may_name_several_servers(
    read: Read, url: str, servers: dict[str, str], query: str
) -> None:
    """As libpq reads them, or SQLAlchemy: the driver is given each with its port."""
    given = url + ("&" if query and "?" in url else "?" if query else "") + query
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl = "{given}"\n').ledger
    parsed = make_url(ledger.read_url())
    _, arguments = PGDialect_psycopg().create_connect_args(parsed)

    attributes = {"target_session_attrs": "read-write"} if query else {}
    assert arguments == {"user": "me", "dbname": "db", **servers, **attributes}


@pytest.mark.parametrize("by_file", [False, True])
def test_a_password_is_seen_beside_several_servers(
    refuse: Refuse, tmp_path: Path, *, by_file: bool
) -> None:
    """It is refused in the configuration, and taken from its file."""
    url = "postgresql://me:hunter2@a:1,b:2/db"
    (tmp_path / "ledger-url").write_text(url)
    if by_file:
        read = LedgerSettings(url_file=tmp_path / "ledger-url").read_url()
        assert make_url(read).password == "hunter2"
    else:
        error = refuse(f'{VAULT}{SMS}[ledger]\nurl = "{url}"\n')
        assert "has a password" in error.message


def test_ledger_file_is_beside_the_configuration(read: Read, tmp_path: Path) -> None:
    """A relative SQLite file does not depend on where the process was started."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl = "sqlite:///ledger.db"\n').ledger

    assert ledger.url == f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is not a ledger URL"),
        ("sqlite://", "is not a ledger URL"),
        ("sqlite:///:memory:", "is a ledger in memory"),
        ("sqlite:///a.db?mode=memory", "is not a ledger URL"),
        ("postgresql://host", "is not a ledger URL"),
        ("postgresql://host:port/db", "is not a ledger URL"),
        ("postgresql://ho\\tst/db", "has spaces or control characters"),
    ],
)
def test_other_ledger_urls_are_refused(refuse: Refuse, url: str, reason: str) -> None:
    """A URL of no ledger, or of one that would not last, is refused."""
    assert reason in refuse(f'{VAULT}{SMS}[ledger]\nurl = "{url}"\n').message


def test_ledger_url_is_read_from_its_file(read: Read, tmp_path: Path) -> None:
    """`url_file` replaces the URL, is read when asked for, and may hold a password."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl_file = "ledger-url"\n').ledger
    (tmp_path / "ledger-url").write_text("postgresql://me:hunter2@host/db\n")

    assert ledger.url is None
    assert ledger.read_url() == "postgresql+psycopg://me:hunter2@host/db"
    assert "hunter2" not in repr(ledger)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: no such file or directory"),
        (b"\xff", "is not UTF-8"),
        (b"hunter2", "is not a ledger URL"),
        (b"", "is not a ledger URL"),
    ],
)
def test_unusable_ledger_url_file_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """What is wrong with `url_file` is said without repeating what it holds."""
    file = tmp_path / "ledger-url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        LedgerSettings(url_file=file).read_url()

    assert caught.value.message.startswith(f"ledger.url_file: {str(file)!r}")
    assert reason in caught.value.message
    assert "hunter2" not in seen(caught.value)


def test_ledger_url_and_url_file_exclude_each_other(refuse: Refuse) -> None:
    """A file cannot say twice where the ledger is."""
    error = refuse(VAULT + SMS + '[ledger]\nurl = "sqlite:////a"\nurl_file = "b"\n')

    assert "ledger: url and url_file exclude each other; keep one" in error.message
