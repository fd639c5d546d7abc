import socket
import time
from pathlib import Path

import pytest

from rotator.daemon.health import Heartbeat
from rotator.errors import AddressTaken, ConfigError
from rotator.web.listener import ListenAddress, url_of


@pytest.mark.parametrize(
    ("listen", "header", "meant"),
    [
        ("127.0.0.1:9470", "127.0.0.1:9470", True),
        ("127.0.0.1:9470", "localhost:9470", True),
        ("127.0.0.1:9470", "LOCALHOST", True),
        ("127.0.0.1:9470", "[::1]:9470", True),
        ("127.0.0.1:9470", "evil.example.com", False),
        ("127.0.0.1:9470", "localhost.example.com:9470", False),
        ("127.0.0.1:9470", "10.0.0.1:9470", False),
        ("127.0.0.1:9470", "", False),
        ("127.0.0.1:9470", "[", False),
        ("rotator.internal:9470", "Rotator.Internal:9470", True),
        ("rotator.internal:9470", "other.internal:9470", False),
        ("0.0.0.0:9470", "10.0.0.1:9470", True),
        ("[::]:9470", "[2001:db8::1]:9470", True),
        ("0.0.0.0:9470", "evil.example.com", False),
        ("0.0.0.0:9470", socket.gethostname(), True),
        ("127.0.0.1:9470", "localhost.", True),
        ("127.0.0.1:9470", "localhost.:9470", True),
        ("127.0.0.1:9470", "localhost:", True),
        ("127.0.0.1:9470", "127.8.8.8", True),
        ("127.0.0.1:9470", "localhost..", False),
        ("127.0.0.1:9470", "[::1].evil.example.com", False),
        ("127.0.0.1:9470", "[::1]evil", False),
        ("127.0.0.1:9470", "[::1]:80@evil.example.com", False),
        ("127.0.0.1:9470", "[localhost]", False),
        ("127.0.0.1:9470", "::1", False),
        ("127.0.0.1:9470", "localhost:80@evil.example.com", False),
        ("127.0.0.1:9470", "localhost@evil.example.com", False),
        ("127.0.0.1:9470", "localhost:80:80", False),
        ("127.0.0.1:9470", "localhost:port", False),
        ("127.0.0.1:9470", "localhost/", False),
        ("127.0.0.1:9470", "localhost\n", False),
        ("127.0.0.1:9470", " localhost", False),
        ("127.0.0.1:9470", "127.0.0.1.evil.example.com", False),
        ("127.0.0.1:9470", "localhost.evil", False),
        ("127.0.0.1:9470", "evil.localhost", False),
        ("unix:/run/rotator/http.sock", "", False),
        ("unix:/run/rotator/http.sock", "localhost", True),
        ("unix:/run/rotator/http.sock", "evil.example.com", False),
    ],
)
def test_only_its_own_names_are_meant(listen: str, header: str, *, meant: bool) -> None:
    """A name that anyone could have pointed to this machine is not one of them."""
    assert ListenAddress(text=listen).is_meant_by(header) is meant


@pytest.mark.parametrize(
    ("header", "meant"),
    [
        ("rotator.example.com", True),
        ("Rotator.Example.com.:443", True),
        ("[2001:db8::1]:443", True),
        ("evil.rotator.example.com", False),
        ("rotator.example.com.evil", False),
        ("rotator.example.com:443@evil", False),
        ("localhost", True),
    ],
)
def test_allowed_names_are_meant_as_well(header: str, *, meant: bool) -> None:
    """Each as a whole, whatever port is asked for."""
    address = ListenAddress(text="unix:/run/rotator/http.sock")

    assert address.is_meant_by(header, ("rotator.example.com", "[2001:db8::1]")) is meant


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_it_listens_at_a_port(listen: str) -> None:
    """The port that it got is in the address that is shown."""
    with ListenAddress(text=listen).listen() as listening:
        url = url_of(listening)
        host, port = listening.getsockname()[:2]
        with socket.create_connection((host, port)):
            pass

    assert url.startswith("http://")
    assert url.endswith(f":{port}")


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    """A killed process leaves its Unix socket; one that lives keeps it."""
    address = ListenAddress(text=f"unix:{tmp_path / 'http.sock'}")
    address.listen().close()
    with address.listen() as listening:
        assert url_of(listening) == address.text
        with pytest.raises(AddressTaken, match="address already in use"):
            address.listen()
    address.leave()

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["192.0.2.1:9470", "no-such-host.invalid:9470"])
def test_an_address_of_a_network_that_is_not_up_may_come(text: str) -> None:
    """Another address than this machine has now, and a name that is not known yet."""
    with pytest.raises(AddressTaken, match="cannot listen at"):
        ListenAddress(text=text).listen()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Whatever stands at the path may be of use to somebody."""
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(ConfigError, match="address already in use"):
        ListenAddress(text=f"unix:{path}").listen()

    assert path.read_text() == "x"


def test_a_heart_that_does_not_beat_is_not_live() -> None:
    """Some beats may be missed, and a while more; then nobody runs the jobs."""
    heart = Heartbeat(every=10)
    beats = [heart.beat_at]
    heart.tick()
    beats.append(heart.beat_at)
    assert heart.is_live()
    assert [beat is None for beat in beats] == [True, False]
    heart._beat_at = time.monotonic() - 91

    assert not heart.is_live()
