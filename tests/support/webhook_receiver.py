"""A web server that receives webhooks and answers as a test decides."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ReceivedRequest:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class WebhookHandler(BaseHTTPRequestHandler):
    """Reads a request, for an answer to it."""

    received: ReceivedRequest


#: Answers a request that was read: by default with a status alone.
Answer = Callable[[WebhookHandler], None]


def status(code: int, **headers: str) -> Answer:
    """Answer with a status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def content(text: str, code: int = 200, **headers: str) -> Answer:
    """Answer with a body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(text.encode())), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        # Whoever has read enough hangs up.
        with suppress(OSError):
            handler.wfile.write(text.encode())

    return answer


@dataclass
class WebhookReceiver:
    """The requests received, and the answer to the next one."""

    url: str = ""
    taken: list[ReceivedRequest] = field(default_factory=list)
    #: Asked for each request.
    answer: Answer = field(default_factory=lambda: status(204))
    #: Set at the end, for answers that still wait.
    is_over: threading.Event = field(default_factory=threading.Event)

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Never answer."""
        del handler
        self.is_over.wait()

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer with a byte of an endless header now and then."""
        with suppress(OSError):
            handler.connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.is_over.wait(0.1):
                handler.connection.sendall(b"x")

    def drop(self, handler: BaseHTTPRequestHandler) -> None:
        """Close the connection without an answer."""
        handler.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def receiving() -> Iterator[WebhookReceiver]:
    """Yield a receiver on loopback for the length of a `with` block."""
    receiver = WebhookReceiver()

    class Handler(WebhookHandler):
        def do_POST(self) -> None:  # its name in the standard library
            self.answer(self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:  # likewise
            self.answer()

        def do_CONNECT(self) -> None:  # likewise
            self.answer()

        def answer(self, body: bytes = b"") -> None:
            headers = dict(self.headers.items())
            self.received = ReceivedRequest(path=self.path, headers=headers, body=body)
            receiver.taken.append(self.received)
            receiver.answer(self)

        def log_message(self, *_arguments: Any) -> None:  # noqa: ANN401  # as it is there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    # The accept loop looks for its end this often, in seconds.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.is_over.set()
        server.shutdown()
        thread.join()
        server.server_close()
