"""Vault Agent's examples: the real agent, a real server, and the hooks of the page."""

import json
import re
import shlex
import signal
import subprocess
import sys

import pytest

from tests.acceptance.service import until
from tests.contract.real import COMMANDS, free_ports
from tests.examples.conftest import ACCOUNT, EXAMPLES, PLACE, PLAIN, Site, adapted

pytestmark = pytest.mark.vault
RELOAD = '["/usr/bin/systemctl", "reload-or-restart", "sms-gateway.service"]'
APPLICATION = '["/usr/local/bin/sms-gateway"]'
#: Shows its environment's secret id, as an application would.
SHOWING = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["VONAGE_SECRET_ID"].encode())
open("started", "a").write(os.environ["VONAGE_API_SECRET"] + "\\n")
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""


def rendered(site: Site) -> str:
    """Return the file that the agent writes once it has the newest secret."""
    return (
        f"VONAGE_API_KEY={site.account.api_key}\n"
        f"VONAGE_API_SECRET={site.secret()}\n"
        f"VONAGE_SECRET_ID={site.secret_id()}\n"
    )


def test_an_agent_keeps_a_file_up_to_date_and_the_old_secret_waits_for_it(site: Site) -> None:
    """The gate is shut while the files have the old secret; the command runs with each new one."""
    ran, file = site.place / "ran", site.place / "vonage.env"
    command = json.dumps(["/bin/sh", "-c", f"echo >> {ran}"])
    configuration = site.agent_file("template.hcl", {RELOAD: command, '= "5m"': '= "1s"'})
    site.hook("A file that Vault Agent writes", {PLACE: f"{site.place}/"})
    with site.running(site.agent(configuration)) as agent:
        until(ran.exists)
        first, expected = file.read_text(), rendered(site)
        agent.send_signal(signal.SIGSTOP)
        waiting = site.outcome("rotate-now", ACCOUNT, "--grace", "0s")
        agent.send_signal(signal.SIGCONT)
        until(lambda: ran.read_text() == "\n\n")
        done = site.outcome("resume")

    assert first == expected
    assert file.read_text() == rendered(site) != first
    assert file.stat().st_mode & 0o777 == 0o600
    assert (waiting, done) == ("awaiting-deletion", "completed")
    assert site.secret_ids() == [site.secret_id()] == [(site.place / "vonage.id").read_text()]


def test_an_agent_restarts_an_application_with_a_new_environment(site: Site) -> None:
    """The gate asks the application, and is shut until the new one runs."""
    (port, _), started = free_ports(), site.folder / "started"
    command = json.dumps([sys.executable, "-c", SHOWING])
    changes = {APPLICATION: command, '= "5m"': '= "1s"'}
    configuration = site.agent_file("supervisor.hcl", changes)
    site.hook("An environment that Vault Agent sets", {":8080/": f":{port}/"})
    with site.running(site.agent(configuration), {"PORT": str(port)}) as agent:
        until(started.exists)
        agent.send_signal(signal.SIGSTOP)
        waiting = site.outcome("rotate-now", ACCOUNT, "--grace", "0s")
        agent.send_signal(signal.SIGCONT)
        until(lambda: len(started.read_text().split()) == 2)
        until(lambda: site.outcome("resume") == "completed")

    assert started.read_text().split() == [site.account.api_secret, site.secret()]
    assert waiting == "awaiting-deletion"
    assert site.secret_ids() == [site.secret_id()]


def test_a_start_writes_the_file_anew(site: Site) -> None:
    """The drop-in's command ends by itself, and leaves the newest secret for the application."""
    site.agent_file("at-start.hcl", {})
    drop_in = (EXAMPLES / "systemd" / "sms-gateway.conf").read_text()
    places = {PLACE: f"{site.place}/", "/usr/bin/vault": COMMANDS["bao"]}
    [line] = re.findall(r"^ExecStartPre=-\+(.*)$", adapted(drop_in, places), re.MULTILINE)
    start = shlex.split(line)
    site.hook(
        "A file that is read at the start",
        {PLACE: f"{site.place}/", "/run/rotator": str(site.folder)},
    )
    environment = PLAIN | {"HOME": str(site.folder)}
    subprocess.run(start, env=environment, capture_output=True, check=True)
    first = (site.place / "vonage.env").read_text()
    waiting = site.outcome("rotate-now", ACCOUNT, "--grace", "0s")
    asked = (site.folder / "reload-sms-gateway").exists()
    subprocess.run(start, env=environment, capture_output=True, check=True)

    assert f"={site.account.api_secret}\n" in first
    assert (waiting, asked) == ("awaiting-deletion", True)
    assert (site.place / "vonage.env").read_text() == rendered(site)
    assert site.outcome("resume") == "completed"
