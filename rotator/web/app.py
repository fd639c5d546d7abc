"""The pages and documents, by path."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from http import HTTPStatus

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rotator.application import Application
from rotator.errors import RotatorError
from rotator.ledger.chain import Entry
from rotator.model.redaction import escaped
from rotator.reporting.verification import verify_ledger
from rotator.rotation.ports import AccountSummary
from rotator.telemetry.metrics import Metrics
from rotator.web.overview import AccountView, Filter, Overview, OverviewPage, State, stands
from rotator.web.templates import AT_REST, AT_WORK, files, rendered
from rotator.web.timeline import Recent, counted
from rotator.web.views import AccountDetail, distance, line, policy_facts, row

_log = structlog.get_logger(__name__)

#: Number of entries on an account's page, and on the first page.
HISTORY, NEWEST = 50, 8
#: How many of a chain's newest entries are checked for a page.
CHECKED = 1_000
#: States that change soon.
_MOVING = (State.ROTATING, State.DUE)
#: How long a result about Vault is reused, in seconds: not every probe causes a request.
_KEPT = 3.0
#: How long to wait for Vault, in seconds: a probe is repeated anyway.
_VAULT_SECONDS = 2.0
#: Browsers may cache a file whose URL contains its version.
_FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The daemon's own state: whether it lives, and what it cannot reach."""

    #: Whether the daemon's scheduler still runs its jobs.
    is_live: Callable[[], bool]
    #: Returns the unreachable components, such as `vault`.
    away: Callable[[], list[str]]


class Json(JSONResponse):
    """A JSON document without unescaped terminal control characters."""

    def render(self, content: object) -> bytes:
        """Render the document."""
        return escaped(super().render(content).decode()).encode()


class WebApp:
    """The web application. Requests come from many threads."""

    def __init__(self, *, metrics: Metrics, pulse: Pulse, version: str) -> None:
        """Start with nothing to show: see `show`."""
        self._metrics = metrics
        self._pulse = pulse
        self._version = version
        self._view: PageData | None = None
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/accounts/{name}", self._account),
                Route("/api/status", self._status),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._rendered_metrics),
                Route("/static/{name}", self._file),
            ],
            exception_handlers={
                HTTPException: self._refused,
                RotatorError: self._failed,
                Exception: self._unexpected,
            },
        )

    def show(self, application: Application) -> None:
        """Show the accounts of this configuration from now on."""
        self._view = PageData(application=application)
        self._metrics.watch(list(application.accounts), self._view.records)
        # The first query of thousands of accounts takes a second.
        threading.Thread(target=self._view.warm_up, name="warm-up", daemon=True).start()

    @property
    def _now_shown(self) -> "PageData":
        if self._view is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE)
        return self._view

    # -- Pages. ----------------------------------------------------------------------------

    def _index(self, request: Request) -> Response:
        now, view = datetime.now(UTC), self._now_shown
        question = Filter.of(request.query_params)
        glance = view.glance(question, now)
        rows = view.rows(glance.shown)
        is_busy = any(each.state in _MOVING for each in rows)
        return self._page(
            request,
            "index.html",
            now=now,
            seconds=AT_WORK if is_busy else AT_REST,
            glance=glance,
            upcoming=glance.upcoming,
            upcoming_in=_upcoming_in(glance.upcoming, now),
            question=question,
            rows=rows,
            timeline=view.recent.at(now),
            newest=[line(entry) for entry in view.newest(NEWEST)],
        )

    def _account(self, request: Request) -> Response:
        now, view = datetime.now(UTC), self._now_shown
        name, before = request.path_params["name"], _before(request)
        shown = view.one(name, now)
        if shown is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        queries = view.application.ledger.page_reader
        (own,) = view.rows([shown])
        verification = verify_ledger(queries, name, shown.standing.account, newest=CHECKED)
        entries = queries.history(name, limit=HISTORY + 1, before=before)
        return self._page(
            request,
            "account.html",
            now=now,
            seconds=AT_WORK if own.state in _MOVING else AT_REST,
            account=shown.standing.account,
            standing=shown.standing,
            row=own,
            facts=list(policy_facts(shown.standing.account.policy)),
            verification=verification,
            checked=CHECKED,
            timeline=counted(lambda since: queries.closed_by_day(since, name), now),
            entries=[line(entry) for entry in reversed(entries[-HISTORY:])],
            has_older=len(entries) > HISTORY,
            before=before,
        )

    def _page(
        self, request: Request, template: str, *, now: datetime, seconds: int, **values: object
    ) -> Response:
        is_paused = "paused" in request.query_params
        text = rendered(
            template,
            away=self._pulse.away(),
            is_paused=is_paused,
            now=now,
            seconds=seconds,
            states=list(State),
            version=self._version,
            **values,
        )
        # Not in the document, where it could not be switched off.
        return HTMLResponse(text, headers={} if is_paused else {"Refresh": str(seconds)})

    def _file(self, request: Request) -> Response:
        found = files().get(request.path_params["name"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return Response(
            found.content, media_type=found.media_type, headers={"Cache-Control": _FOR_EVER}
        )

    # -- Documents for programs. -----------------------------------------------------------

    def _status(self, _request: Request) -> Response:
        standings = self._now_shown.standings(datetime.now(UTC))
        return Json({"accounts": standings})

    async def _healthz(self, _request: Request) -> Response:
        # Not in a worker thread: those may all be busy with pages.
        if self._pulse.is_live():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the scheduler stands still\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _readyz(self, _request: Request) -> Response:
        usable = self._now_shown.usable()
        is_ready = all(word == "ok" for word in usable.values())
        code = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Json({"ready": is_ready, **usable}, code)

    def _rendered_metrics(self, _request: Request) -> Response:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self._metrics.rendered(), media_type=media_type)

    # -- Errors. ---------------------------------------------------------------------------

    def _refused(self, request: Request, error: Exception) -> Response:
        code = getattr(error, "status_code", HTTPStatus.NOT_FOUND)
        what = "there is no such page" if code == HTTPStatus.NOT_FOUND else "this cannot be done"
        headers = getattr(error, "headers", None)
        return self._sorry(request, code, what, headers=headers)

    def _failed(self, request: Request, error: Exception) -> Response:
        ours = error if isinstance(error, RotatorError) else RotatorError()
        return self._sorry(
            request, HTTPStatus.SERVICE_UNAVAILABLE, ours.message, hint=ours.hint, code=ours.code
        )

    def _unexpected(self, request: Request, error: Exception) -> Response:
        _log.error("unexpected error", path=request.url.path, exc_info=error)
        what = "this page could not be made; the log names the error"
        return self._sorry(request, HTTPStatus.INTERNAL_SERVER_ERROR, what)

    def _sorry(  # noqa: PLR0913  # all of it is said
        self,
        request: Request,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        code: str = "error",
        headers: dict[str, str] | None = None,
    ) -> Response:
        if request.url.path.startswith("/api/"):
            document = {"error": {"code": code, "message": message, "hint": hint}}
            return Json(document, status, headers=headers)
        text = rendered(
            "sorry.html", status=int(status), message=message, hint=hint, version=self._version
        )
        return HTMLResponse(text, status, headers=headers)


@dataclass(kw_only=True)
class PageData:
    """The data for the pages of one configuration."""

    application: Application
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _vault: tuple[float, str] = (float("-inf"), "")
    _vault_lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Prepare the caches; nothing is read yet."""
        self._board = Overview(self.application.settings.accounts)
        self.recent = Recent(self._closed)

    def records(self) -> Mapping[str, AccountSummary]:
        """Return the summary of each account in the ledger."""
        return self.application.ledger.summaries.records()

    def warm_up(self) -> None:
        """Read all accounts, so that the first request need not wait for that."""
        now = datetime.now(UTC)
        with suppress(RotatorError):
            self.glance(Filter(), now)
            self.recent.at(now)

    def glance(self, question: Filter, now: datetime) -> OverviewPage:
        """Return the accounts that are asked for."""
        with self._lock:
            return self._board.look(self.records(), question, now)

    def one(self, name: str, now: datetime) -> AccountView | None:
        """Return one account without looking at the others; None where there is no such name."""
        account = self.application.accounts.get(name)
        if account is None:
            return None
        (record,) = self.application.ledger.page_reader.accounts([name])
        return stands(account, record, now)

    def standings(self, now: datetime) -> list[dict[str, object]]:
        """Return what `status --json` prints of each account."""
        with self._lock:
            standings = list(self._board.standings(self.records(), now))
        undelivered = self.application.ledger.pending_deliveries(for_pages=True)
        return [
            replace(each, undelivered=undelivered.get(each.account.name, ())).document()
            for each in standings
        ]

    def rows(self, shown: Sequence[AccountView]) -> list[AccountDetail]:
        """Return the rows of accounts, with the steps of their open rotations."""
        opened = [each.standing.opened for each in shown]
        rotations = [rotation for rotation in opened if rotation]
        entries = self.application.ledger.page_reader.progress(rotations) if rotations else {}
        undelivered = self.application.ledger.pending_deliveries(for_pages=True)
        return [
            row(
                each,
                entries.get(each.standing.account.name, ()),
                undelivered.get(each.standing.account.name, ()),
            )
            for each in shown
        ]

    def newest(self, count: int) -> list[Entry]:
        """Return the newest entries of the ledger, the newest first."""
        return list(reversed(self.application.ledger.page_reader.history(None, limit=count)))

    def usable(self) -> dict[str, str]:
        """Return `ok` for ledger and Vault, or what is wrong with each."""
        return {
            "ledger": _said(self.application.ledger.page_reader.check),
            "vault": self._vault_said(),
        }

    def _closed(self, since: datetime) -> Mapping[date, Mapping[str, int]]:
        return self.application.ledger.page_reader.closed_by_day(since)

    def _vault_said(self) -> str:
        with self._vault_lock:
            asked_at, said = self._vault
            if time.monotonic() - asked_at > _KEPT:
                said = _said(lambda: self.application.clients.store.check(seconds=_VAULT_SECONDS))
                self._vault = (time.monotonic(), said)
            return said


def _upcoming_in(shown: AccountView | None, now: datetime) -> str:
    due_at = shown.standing.next_due_at if shown else None
    return distance(due_at, now) if due_at else ""


def _said(check: Callable[[], object]) -> str:
    try:
        check()
    except RotatorError as error:
        return error.message
    return "ok"


def _before(request: Request) -> int | None:
    text = request.query_params.get("before", "")
    return int(text) if text.isdecimal() and len(text) < 18 else None  # noqa: PLR2004
