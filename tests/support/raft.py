"""Three OpenBao nodes on loopback that keep their entries by Raft, and a round robin before them.

Standbys answer reads themselves, as is the default: each request may meet another node, and any of
them may lag. A node can be killed, paused, sealed, or be made to lag by seconds.
"""

import base64
import http.client
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from tests.contract.real import free_ports
from tests.support.server import LoopbackServer

#: Seconds until a node that was started, unsealed or elected is there, at most.
PATIENCE = 60.0
#: What the nodes unseal themselves with.
_SEAL_KEY = base64.b64encode(bytes(32)).decode()
_PIECE = 65536
#: Seconds after which the load balancer gives a silent node up.
_SILENCE = 2.0

Document = dict[str, Any]


class Node:
    """One node, whose process may come and go."""

    def __init__(self, command: str, folder: Path, name: str) -> None:
        """Choose its ports; start nothing yet."""
        self.name = name
        self._command, self._folder = command, folder
        (folder / "data").mkdir(parents=True)
        port, cluster_port = free_ports()
        self.url = f"http://127.0.0.1:{port}"
        self.address = ("127.0.0.1", port)
        #: What the other nodes reach it through.
        self.link = Link(("127.0.0.1", cluster_port))
        self._configuration = {
            "disable_mlock": True,
            "api_addr": self.url,
            "cluster_addr": f"https://127.0.0.1:{self.link.port}",
            "storage": {
                "raft": {
                    "path": str(folder / "data"),
                    "node_id": name,
                    # A leader is missed after about a second.
                    "performance_multiplier": 1,
                    "autopilot_reconcile_interval": "500ms",
                    "autopilot_update_interval": "500ms",
                }
            },
            "seal": {"static": {"current_key_id": "1", "current_key": _SEAL_KEY}},
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{port}",
                    "cluster_address": f"127.0.0.1:{cluster_port}",
                    "tls_disable": True,
                }
            },
        }
        self._process: subprocess.Popen[bytes] | None = None
        self.is_paused = False

    @property
    def is_running(self) -> bool:
        """Whether its process is there and not paused."""
        return self._process is not None and not self.is_paused

    def join(self, leader: "Node") -> None:
        """Make the node join the cluster of `leader` when it starts."""
        self._configuration["storage"]["raft"]["retry_join"] = [  # type: ignore[index]
            {"leader_api_addr": leader.url}
        ]

    def start(self) -> None:
        """Start its process, which unseals itself."""
        file = self._folder / "node.json"
        file.write_text(json.dumps(self._configuration))
        with (self._folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                [self._command, "server", f"-config={file}"],
                # Nothing of the caller's BAO_ or VAULT_ settings, nor of its home.
                env={"HOME": str(self._folder), "PATH": os.environ["PATH"]},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def kill(self) -> None:
        """End its process, which is told nothing."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process, self.is_paused = None, False

    def pause(self) -> None:
        """Stop its process: what it is sent waits."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        self.is_paused = True

    def go_on(self) -> None:
        """Continue its process."""
        if self._process is not None and self.is_paused:
            self._process.send_signal(signal.SIGCONT)
        self.is_paused = False

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self.link.close()

    def health(self) -> Document:
        """Return what it says of itself; nothing where it does not answer."""
        with suppress(requests.RequestException, ValueError):
            found: Document = _session().get(f"{self.url}/v1/sys/health", timeout=1).json()
            return found
        return {}

    @property
    def is_active(self) -> bool:
        """Whether it is the one that writes."""
        found = self.health()
        return found.get("sealed") is False and found.get("standby") is False

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests, be it by asking the active one."""
        return self.health().get("sealed") is False


class Cluster:
    """The nodes, and the address that clients are given."""

    def __init__(self, command: str, folder: Path) -> None:
        """Start the nodes and have them elect one; `command` is OpenBao's."""
        self.nodes = [
            Node(command, folder / f"node-{number}", f"node-{number}") for number in "123"
        ]
        self.balance = Balance([node.address for node in self.nodes])
        self.url = self.balance.url
        self.root = ""
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all nodes."""
        self.balance.close()
        for node in self.nodes:
            node.close()

    @property
    def leader(self) -> Node:
        """The active node, waited for."""
        found: list[Node] = []

        def is_found() -> bool:
            found[:] = [node for node in self.nodes if node.is_running and node.is_active]
            return bool(found)

        _until(is_found, "an active node")
        return found[0]

    @property
    def followers(self) -> list[Node]:
        """The others."""
        leader = self.leader
        return [node for node in self.nodes if node is not leader]

    def heal(self) -> None:
        """Bring all nodes to run, unsealed and in time, with one of them active."""
        for node in self.nodes:
            node.link.delay = 0.0
            node.go_on()
            if not node.is_running:
                node.start()
        _until(lambda: all(node.is_ready for node in self.nodes), "a cluster of all nodes")
        _ = self.leader

    def call(
        self, method: str, path: str, body: object = None, *, node: Node | None = None
    ) -> Document | None:
        """Call the API as root, at the active node or at `node`; None for a 404.

        One that has just lost an election answers 500, and is asked again.
        """
        headers = {"X-Vault-Token": self.root}
        content = None if body is None else json.dumps(body)
        answers: list[requests.Response] = []

        def is_answered() -> bool:
            url = f"{(node or self.leader).url}/v1/{path}"
            answer = _session().request(method, url, data=content, headers=headers, timeout=10)
            answers.append(answer)
            return answer.status_code != 500

        _until(is_answered, "an answer")
        answer = answers[-1]
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json() if answer.content else {}

    def data(self, path: str, *, node: Node | None = None) -> Document | None:
        """Return what the active node, or `node`, has at `path`, below the mount `secret`."""
        found = self.call("GET", f"secret/data/{path}", node=node)
        return found["data"]["data"] if found else None

    def _begin(self) -> None:
        first, *others = self.nodes
        first.start()
        _until(lambda: bool(first.health()), "a node")
        # The static seal unseals by itself: the shares are for recovery alone.
        made = _session().post(
            f"{first.url}/v1/sys/init",
            json={"recovery_shares": 1, "recovery_threshold": 1},
            timeout=PATIENCE,
        )
        made.raise_for_status()
        self.root = made.json()["root_token"]
        _until(lambda: first.is_active, "an active node")
        # A node that has joined votes once it has been well for so long.
        pace = {"server_stabilization_time": "500ms", "last_contact_threshold": "10s"}
        self.call("POST", "sys/storage/raft/autopilot/configuration", pace)
        for node in others:
            node.join(first)
            node.start()
        self.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        _until(lambda: all(node.is_ready for node in self.nodes), "a cluster of all nodes")
        _until(lambda: all(self._has_mount(node) for node in self.nodes), "the mount at each node")
        _until(self._do_all_vote, "a vote for each node")

    def _do_all_vote(self) -> bool:
        found = self.call("GET", "sys/storage/raft/configuration") or {}
        return all(server["voter"] for server in found["data"]["config"]["servers"])

    def _has_mount(self, node: Node) -> bool:
        with suppress(requests.RequestException):
            return self.call("GET", "secret/config", node=node) is not None
        return False


class Link(LoopbackServer):
    """What the other nodes reach a node through: it may delay what they send."""

    def __init__(self, target: tuple[str, int]) -> None:
        """Pass on to `target`."""
        self._target = target
        #: Seconds by which everything is delayed.
        self.delay = 0.0
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        """Relay both ways until either side has hung up."""
        with socket.create_connection(self._target, PATIENCE) as target:
            target.settimeout(None)
            ways = [(connection, target), (target, connection)]
            relays = [threading.Thread(target=self._relay, args=way) for way in ways]
            for relay in relays:
                relay.start()
            for relay in relays:
                relay.join()

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        held: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        delivery = threading.Thread(target=_deliver, args=[held, target])
        delivery.start()
        piece = b"-"
        while piece:
            try:
                piece = source.recv(_PIECE)
            except OSError:
                piece = b""
            held.put((time.monotonic() + self.delay, piece))
        delivery.join()


def _deliver(held: "queue.SimpleQueue[tuple[float, bytes]]", target: socket.socket) -> None:
    while True:
        at, piece = held.get()
        time.sleep(max(0.0, at - time.monotonic()))
        try:
            if not piece:
                target.shutdown(socket.SHUT_RDWR)
                return
            target.sendall(piece)
        except OSError:
            return


class Balance:
    """Hands each request to the next node, as a load balancer that looks at nothing else.

    One that refuses connections is passed over; one that is silent costs its client a 504.
    """

    def __init__(self, addresses: Sequence[tuple[str, int]]) -> None:
        """Listen; hand on to `addresses` in turn."""
        self._addresses = addresses
        self._turns = itertools.count()
        #: The one node that is asked; None for each in turn.
        self.only: tuple[str, int] | None = None
        #: What was answered, as `GET /v1/… 200`.
        self.answers: list[str] = []
        #: Called with each request, before and after it is handed on.
        self.watch: Callable[[str, str, str, bytes], None] = lambda *_: None
        handler = type("_Handler", (_Handler,), {"balance": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=[0.05])
        self._thread.start()

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pass_on(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Ask the next node that takes connections."""
        for _ in self._addresses:
            address = self.only or self._addresses[next(self._turns) % len(self._addresses)]
            asked = http.client.HTTPConnection(*address, timeout=_SILENCE)
            try:
                with suppress(ConnectionRefusedError):
                    asked.connect()
                    asked.request(method, path, body or None, dict(headers))
                    answer = asked.getresponse()
                    return answer.status, dict(answer.headers), answer.read()
            except TimeoutError:
                return 504, {}, b""
            except (OSError, http.client.HTTPException):
                return 502, {}, b""
            finally:
                asked.close()
        return 503, {}, b""


class _Handler(BaseHTTPRequestHandler):
    balance: Balance
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.balance.watch("before", self.command, self.path, body)
        status, headers, content = self.balance.pass_on(
            self.command, self.path, dict(self.headers), body
        )
        self.balance.watch("after", self.command, self.path, body)
        self.balance.answers.append(f"{self.command} {self.path} {status}")
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _pass_on  # noqa: N815  # the base's names


_HOP_BY_HOP = {"content-length", "transfer-encoding", "connection", "date", "server"}


def _until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come about")
        time.sleep(0.05)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session
