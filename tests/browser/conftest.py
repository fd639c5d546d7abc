"""A real browser on the pages of the real daemon."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rotator.sim import Environment
from tests.acceptance.service import Service, service

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
AXE = ROOT / "build" / "axe" / "axe.min.js"
#: All that is found wrong by the rules of WCAG 2.2 A and AA, and by good practice.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]

Serve = Callable[..., "Visit"]

# In milliseconds: a busy machine takes its time to show what is to be seen.
expect.set_options(timeout=60_000)


@dataclass
class Visit:
    """A daemon that serves, and windows on what it serves."""

    run: Service
    url: str
    browser: Browser
    #: What went wrong in any window, as the browser tells it.
    complaints: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    #: What puts the world in order again, before it is looked at from outside.
    mends: list[Callable[[], object]] = field(default_factory=list)

    def open(self, path: str = "/", *, width: int = 1280, **options: Any) -> Page:  # noqa: ANN401  # of `new_page`
        """Open a page in a window of its own."""
        viewport = {"width": width, "height": 900}
        page = self.browser.new_page(viewport=viewport, **options)  # type: ignore[arg-type]  # as documented
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._came_from_here(request.url))
        page.goto(self.url + path)
        self.pages.append(page)
        return page

    def _came_from_here(self, url: str) -> None:
        if not url.startswith(self.url):
            self.complaints.append(f"asked for {url}")


def picture(page: Page, name: str) -> None:
    """Keep a picture of the whole page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def problems(page: Page) -> list[str]:
    """Check a page by axe, brought in past the page's policy, which forbids scripts."""
    page.evaluate(Path(AXE).read_text())
    run = f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})"
    violations = page.evaluate(f"{run}.then(result => result.violations)")
    return [
        f"{each['id']}: {node['html'][:200]} {node['failureSummary'][:200]}"
        for each in violations
        for node in each["nodes"][:2]
    ]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, without a window."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium on PATH")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def serve(browser: Browser, sqlite_template: Path, tmp_path: Path) -> Iterator[Serve]:
    """Yield what starts a daemon in a world of its own; nothing may be wrong at its end."""
    with ExitStack() as cleanup:
        visits: list[Visit] = []

        def serving(
            *,
            age: timedelta = timedelta(days=3),
            prepare: Callable[[Service], None] = lambda _run: None,
            **world: Any,  # noqa: ANN401  # of `Environment.build`
        ) -> Visit:
            ledger = shutil.copy(sqlite_template, tmp_path / "ledger.db")
            arguments = {"accounts": 1, "subaccounts": 0, **world}
            built = Environment.build(**arguments, created_at=datetime.now(UTC) - age)
            run = cleanup.enter_context(
                service(built, tmp_path, f"sqlite:///{ledger}", 'listen = "127.0.0.1:0"')
            )
            prepare(run)
            run.start()
            visits.append(Visit(run=run, url=run.url(), browser=browser))
            return visits[-1]

        yield serving
        for visit in visits:
            for page in visit.pages:
                page.close()
            for mend in visit.mends:
                mend()
            assert not visit.complaints
