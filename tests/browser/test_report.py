"""The auditor's report as people see it: on a screen, on a phone, on paper, by a screen reader."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from rotator.model import Hold, State, Trouble
from rotator.reporting.audit import Report
from rotator.reporting.audit_html import page as rendered
from tests.browser.conftest import AXE, picture, problems
from tests.support.audit_samples import DAY, NOW, PERIOD, entry, made, rotation, seen
from tests.support.samples import account

pytestmark = pytest.mark.browser

#: Ids as Vonage has them, whole.
OLD, NEW, FOREIGN = (f"{digit * 8}-aaaa-4bbb-8ccc-{digit * 12}" for digit in "123")


def report() -> Report:
    """Make a report on a healthy account, a broken one, and one with a foreign secret."""
    person = {"by": "ann as root", "from": "bastion, by SSH from 2001:db8::1"}
    events = [
        *rotation(NOW - 20 * DAY, OLD, NEW, since="2026-08-20T00:00:00Z"),
        entry(NOW - 9 * DAY, "requested", operation="rotate", because="leaked in a log", **person),
        entry(NOW - 9 * DAY, "refused", code="drift", why="Vonage refuses the value in Vault"),
        entry(NOW - 8 * DAY, "trouble-over"),
        entry(NOW - 7 * DAY, "held", reason="moving house", freeze=True, **person),
        entry(NOW - 6 * DAY, "released", reason="moving house", held_by="ann as root", **person),
    ]
    current: dict[str, Any] = {"current_id": NEW, "current_since": NOW - 20 * DAY}
    trouble = Trouble(
        state=State.BROKEN,
        code="drift",
        why="Vonage refuses the value that Vault holds",
        hint="version 7 still works: `vault kv rollback -version=7 secret/vonage/broken`",
        since=NOW - DAY,
    )
    hold = Hold(reason="moving house", by="ann", at=NOW - DAY)
    retry_at = NOW + DAY / 24
    failing: dict[str, Any] = {"failures": 4, "retry_at": retry_at, "next_due_at": retry_at}
    summaries = {
        "healthy": seen(NEW, **current),
        "broken": seen(NEW, trouble=trouble, **failing),
        "foreign": seen(NEW, FOREIGN, **current),
        "held": seen(NEW, **current, hold=hold),
        "new": seen(),
    }
    accounts = (
        replace(
            made(*events if name != "new" else (), account=account(name), summary=summary),
            name=name,
        )
        for name, summary in summaries.items()
    )
    return Report(period=PERIOD, made_at=NOW, version="rotator 1", accounts=tuple(accounts))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Write the report's page to a file; return its URL."""
    path = tmp_path / "report.html"
    path.write_text(rendered(report()))
    return path.as_uri()


def opened(browser: Browser, file: str, *, width: int = 1280, **options: object) -> Page:
    """Open the page in a window of its own."""
    page = browser.new_page(viewport={"width": width, "height": 900}, **options)  # type: ignore[arg-type]  # as documented
    page.goto(file)
    return page


def test_problems_come_before_healthy_accounts(browser: Browser, file: str) -> None:
    """After a summary of all."""
    page = opened(browser, file)
    picture(page, "report")
    names = page.locator(".account h2").all_inner_texts()
    figures = page.locator(".tile strong").all_inner_texts()

    assert [name.split()[0] for name in names] == ["broken", "foreign", "new", "held", "healthy"]
    assert figures[:7] == ["2 of 5", "0", "1", "0", "1", "1", "verified"]
    assert page.locator("#broken .now li").inner_text() == (
        "broken Vonage refuses the value that Vault holds (drift, since 2026-09-30 00:00 UTC, "
        "4 tries, next try 2026-10-01 01:00 UTC)\n\nversion 7 still works: vault kv rollback "
        "-version=7 secret/vonage/broken"
    )
    assert FOREIGN in page.locator("#foreign").inner_text()
    page.close()


@pytest.mark.parametrize("width", [360, 800, 1280])
def test_nothing_has_to_be_scrolled_sideways(browser: Browser, file: str, width: int) -> None:
    """Whole ids included, on a phone and on a screen."""
    page = opened(browser, file, width=width)
    picture(page, f"report-{width}")

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.locator(".wide").evaluate_all(
        "all => all.filter(one => one.scrollWidth > one.clientWidth).length"
    )
    assert wide == 0
    if width == 360:
        label = page.locator("#foreign td").first.evaluate(
            "cell => getComputedStyle(cell, '::before').content"
        )
        assert label == '"Secret"'
    page.close()


def test_it_is_readable_on_paper(browser: Browser, file: str) -> None:
    """On A4, nothing is cut off at the right, and each table keeps its header."""
    # 210 mm less two margins of 14 mm, in CSS pixels.
    page = opened(browser, file, width=688)
    page.emulate_media(media="print")
    picture(page, "report-print")
    cells = page.locator("td, th")

    assert page.evaluate("document.documentElement.scrollWidth") <= 688
    assert page.locator("thead").first.evaluate("head => getComputedStyle(head).display") == (
        "table-header-group"
    )
    assert (
        cells.evaluate_all("all => Math.max(...all.map(c => c.getBoundingClientRect().right))")
        <= 688
    )
    page.close()


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not there: make build/axe/axe.min.js")
@pytest.mark.parametrize("options", [{}, {"color_scheme": "dark"}, {"width": 360}])
def test_it_is_accessible(browser: Browser, file: str, options: dict[str, object]) -> None:
    """Axe finds nothing to complain of, in both themes, and on a phone."""
    page = opened(browser, file, **options)  # type: ignore[arg-type]  # of `new_page`

    assert not problems(page)
    page.close()
