"""The real daemon at work for as long as a year would bring: what it holds must not grow."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rotator.sim import Environment
from tests.acceptance.service import Service, get, service, until

#: Rotations until all caches are full, and for which nothing may grow afterwards: a month's
#: worth of a hundred accounts, each with a look in between.
WARM_UP, REST = 100, 300
#: MB that may be added all the same: SQLite keeps up to 2 MB of a growing file for each of its
#: connections, and the page of an account shows ever more of its history.
GROWTH = 6.0
#: Descriptors that may be added: connections to the ledger are opened when they are needed, and
#: kept, up to some. One left by each rotation would be hundreds.
SOME = 15
#: How often descriptors are counted: some are open for moments only.
SAMPLES = 40


@pytest.fixture
def run(ledger_url: str, tmp_path: Path) -> Iterator[Service]:
    """Yield a daemon that calls a hook, with accounts due and looked at each second."""
    world = Environment.build(
        accounts=6, subaccounts=2, created_at=datetime.now(UTC) - timedelta(days=1)
    )
    with service(world, tmp_path, ledger_url, 'listen = "127.0.0.1:0"\ndrift_check = "2s"') as made:
        made.configure(grace="0s", jitter="0s", every="1s", max_age="1d")
        text = made.config.read_text()
        made.config.write_text(f'{text}\n[[hooks]]\non = ["pushed"]\ncommand = ["/bin/true"]\n')
        yield made


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def test_descriptors_and_memory_of_the_daemon_stay_flat(run: Service) -> None:
    """However many rotations, looks, hooks and page views there were."""
    process = run.start()
    url = run.url()

    def are_made(count: int) -> bool:
        for page in ("/", "/metrics", "/accounts/account-1"):
            assert get(f"{url}{page}").status_code == 200
        return sum(run.made().values()) >= count

    until(lambda: are_made(WARM_UP), seconds=500)
    before = standing(process.pid)
    until(lambda: are_made(WARM_UP + REST), seconds=900)
    after = standing(process.pid)

    assert run.stop(process) == 0
    assert after[1] <= before[1] + SOME
    assert after[0] - before[0] < GROWTH


def standing(pid: int) -> tuple[float, int]:
    """Return a process's resident memory in MB, and the least number of its descriptors."""
    counts = []
    for _ in range(SAMPLES):
        counts.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))
        time.sleep(0.05)
    [kilobytes] = re.findall(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(kilobytes) / 1024, min(counts)
