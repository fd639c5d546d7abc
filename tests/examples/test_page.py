"""The page on consumers: its arithmetic is that of the examples."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from rotator.config import parse_duration
from tests.examples.conftest import EXAMPLES, PAGE

#: What an agent waits for before it restarts an application: the source has it as a constant.
_PAUSE = timedelta(seconds=2)
#: How often a kubelet looks at what is mounted, by default.
_KUBELET = timedelta(minutes=1)
PARTS = re.compile(r"examples/[\w./-]+")


def section(heading: str) -> str:
    """Return a section of the page."""
    return PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def duration(example: str, key: str) -> timedelta:
    """Return the duration that an example gives a key."""
    text = (EXAMPLES / example).read_text()
    [found] = re.findall(rf'^ *{key}\s*[:=]\s*"?(\d+[smh])"?$', text, re.MULTILINE)
    return parse_duration(found)


def rollout(example: str) -> timedelta:
    """Return how long a manifest lets a rollout take."""
    documents = yaml.safe_load_all((EXAMPLES / example).read_text())
    [seconds] = [
        each["spec"]["progressDeadlineSeconds"]
        for each in documents
        if each["kind"] == "Deployment"
    ]
    return timedelta(seconds=seconds)


def words(time: timedelta) -> str:
    """Return a duration as the page has it: `4 min 45 s`."""
    minutes, seconds = divmod(round(time.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if seconds else f"{minutes} min"


TEMPLATE = duration("agent/template.hcl", "static_secret_render_interval")
SUPERVISOR = duration("agent/supervisor.hcl", "static_secret_render_interval")
EXTERNAL = duration("kubernetes/external-secrets.yaml", "refreshInterval")
OPERATOR = duration("kubernetes/vault-secrets-operator.yaml", "refreshAfter")


@pytest.mark.parametrize(
    ("heading", "longest"),
    [
        ("A file that Vault Agent writes", 0.95 * TEMPLATE),
        ("An environment that Vault Agent sets", 0.95 * SUPERVISOR + _PAUSE),
        ("External Secrets Operator", EXTERNAL + _KUBELET),
        (
            "External Secrets Operator",
            EXTERNAL + _KUBELET + rollout("kubernetes/external-secrets.yaml"),
        ),
        (
            "Vault Secrets Operator",
            0.9 * OPERATOR + rollout("kubernetes/vault-secrets-operator.yaml"),
        ),
        ("Code that reads anew on a 401", timedelta(seconds=300)),
    ],
)
def test_each_grace_is_some_times_what_the_consumer_takes(heading: str, longest: timedelta) -> None:
    """The page has the sum of the example's own intervals, and a grace with room for an outage."""
    text = section(heading)
    [grace] = re.findall(r"^\| grace \| `(\w+)`", text, re.MULTILINE)

    assert words(longest) in text
    assert parse_duration(grace) >= 3 * longest
    anchor = heading.lower().replace(" ", "-")
    [row] = [line for line in PAGE.read_text().splitlines() if f"(#{anchor})" in line]
    assert f"| `{grace}` |" in row


def test_the_page_names_every_example() -> None:
    """No example is copied by nobody, and none is named that is not there."""
    files = {
        path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    }
    named = {EXAMPLES.parent / name for name in PARTS.findall(PAGE.read_text())}

    assert {path for path in named if path.is_file()} == files
    assert all(Path(path).exists() for path in named)
