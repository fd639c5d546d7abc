"""Reports the service's state to systemd (sd_notify(3)): one datagram per message."""

import os
import socket
import time
from collections.abc import Mapping

import structlog

from rotator.daemon.health import ChangeDetector

_log = structlog.get_logger(__name__)


class SystemdNotifier:
    """Sends to systemd's socket; does nothing if systemd names none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read $NOTIFY_SOCKET, $WATCHDOG_USEC and $WATCHDOG_PID."""
        path = environ.get("NOTIFY_SOCKET", "")
        # A leading @ is the zero byte of the abstract namespace.
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        is_meant = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if is_meant else ""
        #: Interval for sending `watchdog`, in seconds; None where no watchdog is set.
        self.watchdog_seconds = int(microseconds) / 2e6 if microseconds.isdecimal() else None
        self._changes = ChangeDetector()

    def ready(self) -> None:
        """Notify systemd that start-up, or a reload, is over."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Send a status text for `systemctl status`, only when it has changed."""
        if self._changes.is_change("status", text):
            self._send(f"STATUS={text}")

    def reloading(self) -> None:
        """Notify systemd that a reload has begun, and when: it wants both in one message."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Notify systemd that the process is about to end."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Notify systemd's watchdog that the service, not only this thread, is alive."""
        if self.watchdog_seconds is not None:
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.settimeout(1)
                channel.sendto(message.encode(), self._address)
        except OSError as error:
            # A service manager that does not listen is no reason to stop rotating.
            _log.debug("systemd not notified", error=type(error).__name__)
