"""The pages and documents, by path."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Generic, TypeVar

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from rotator.application import Application
from rotator.errors import RotatorError, WitnessConflict
from rotator.ledger.daemons import Outage
from rotator.model import State
from rotator.model.redaction import escaped
from rotator.reporting.daemons import daemons_document
from rotator.reporting.gauges import AccountGauges, hook_gauges, witness_gauge
from rotator.reporting.status import AccountStatus
from rotator.reporting.verification import verify_ledger
from rotator.rotation.ports import AccountSummary
from rotator.telemetry.metrics import Metrics
from rotator.web import views
from rotator.web.access import PROBE_PATHS
from rotator.web.daemons import daemons_view, own_banners
from rotator.web.overview import Filter, Overview, OverviewPage
from rotator.web.templates import AT_REST, AT_WORK, files, rendered
from rotator.web.timeline import Timeline, timeline_until
from rotator.web.upcoming import next_of
from rotator.web.views import AccountDetail

_log = structlog.get_logger(__name__)

Value = TypeVar("Value")

#: Number of entries on an account's page, and on the first page.
HISTORY, NEWEST = 50, 8
#: How many of a chain's newest entries are checked for a page.
CHECKED = 1_000
#: States that change soon.
_MOVING = (State.ROTATING, State.DUE)
#: How long the timeline is reused, in seconds: its counts are the page's slowest query.
_TIMELINE_CACHED = 15.0
#: How long a result about ledger and Vault is reused, in seconds: not every probe uses them.
_READINESS_CACHED = 3.0
#: How long to wait for Vault, in seconds: a probe is repeated anyway.
_VAULT_SECONDS = 2.0
#: Browsers may cache a file whose URL contains its version.
_CACHE_FOREVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """The daemon's own state: whether it lives, and what it cannot reach."""

    #: Whether the daemon's scheduler still runs its jobs.
    is_live: Callable[[], bool]
    #: Returns its outages by component, such as `vault`.
    outages: Callable[[], Mapping[str, Outage]]


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
        self._shown: PageData | None = None
        self.app = Starlette(
            routes=[
                Route("/", self._index),
                Route("/accounts/{name}", self._account),
                Route("/states", self._states),
                Route("/api/status", self._status),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics_text),
                Route("/static/{name}", self._file),
            ],
            exception_handlers={
                HTTPException: self._http_error,
                RotatorError: self._rotator_error,
                Exception: self._unexpected,
            },
        )

    def show(self, application: Application) -> Callable[[], None]:
        """Show the accounts of this configuration from now on.

        Returns what reads them all: the first query of thousands of accounts takes a second, for
        which the first request need not wait.
        """
        self._shown = PageData(application)
        self._metrics.watch(list(application.accounts), self._shown.gauges)
        return self._shown.warm_up

    @property
    def _data(self) -> "PageData":
        if self._shown is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE)
        return self._shown

    def _index(self, request: Request) -> Response:
        now, data = datetime.now(UTC), self._data
        filter_ = Filter.of(request.query_params)
        overview = data.overview(filter_, now)
        accounts = data.details(overview.shown)
        return self._page(
            request,
            "index.html",
            accounts,
            now=now,
            overview=overview,
            upcoming=overview.upcoming and next_of(overview.upcoming),
            upcoming_name=overview.upcoming and overview.upcoming.account.name,
            filter=filter_,
            timeline=data.timeline(),
            entries=[
                views.entry_view(entry)
                for entry in reversed(
                    data.application.ledger.page_reader.history(None, limit=NEWEST)
                )
            ],
        )

    def _account(self, request: Request) -> Response:
        now, data = datetime.now(UTC), self._data
        name, before = request.path_params["name"], _before(request)
        account = data.account(name, now)
        if account is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        configured, reader = account.status.account, data.application.ledger.page_reader
        entries = reader.history(name, limit=HISTORY + 1, before=before)
        return self._page(
            request,
            "account.html",
            [account],
            now=now,
            account=account,
            configured=configured,
            policy=list(views.policy_facts(configured.policy)),
            verification=verify_ledger(reader, name, configured, newest=CHECKED),
            checked=CHECKED,
            timeline=timeline_until(now, lambda since: reader.closed_by_day(since, name)),
            entries=[views.entry_view(entry) for entry in reversed(entries[-HISTORY:])],
            has_older=len(entries) > HISTORY,
            before=before,
        )

    def _states(self, _request: Request) -> Response:
        return HTMLResponse(rendered("states.html", states=list(State), version=self._version))

    def _page(
        self,
        request: Request,
        template: str,
        accounts: Sequence[AccountDetail],
        now: datetime,
        **values: object,
    ) -> Response:
        """Render a page that shows `accounts`; it reloads sooner while one of them is changing."""
        is_paused = "paused" in request.query_params
        seconds = AT_WORK if any(each.status.state in _MOVING for each in accounts) else AT_REST
        pulse = self._pulse
        daemons = daemons_view(
            self._data.application.ledger.daemon_records(for_pages=True),
            pulse.outages(),
            is_live=pulse.is_live(),
            now=now,
        )
        text = rendered(
            template,
            now=now,
            daemons=daemons,
            banners=daemons.banners,
            accounts=accounts,
            is_paused=is_paused,
            seconds=seconds,
            states=list(State),
            version=self._version,
            **values,
        )
        # Not in the document, where it could not be switched off. With its address: one with a
        # fragment, as links within the page have it, would only be scrolled to.
        again = {"Refresh": f"{seconds}; url={_own_address(request)}"}
        return HTMLResponse(text, headers={} if is_paused else again)

    def _file(self, request: Request) -> Response:
        found = files().get(request.path_params["name"])
        if found is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        headers = {"Cache-Control": _CACHE_FOREVER}
        return Response(found.content, media_type=found.media_type, headers=headers)

    def _status(self, _request: Request) -> Response:
        now, data = datetime.now(UTC), self._data
        daemons = data.application.ledger.daemon_records(for_pages=True)
        return Json({"accounts": data.documents(now), **daemons_document(daemons, now)})

    async def _healthz(self, _request: Request) -> Response:
        # Not in a worker thread: those may all be busy with pages.
        if self._pulse.is_live():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the scheduler is not running\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _readyz(self, _request: Request) -> Response:
        # The codes, not the messages, which contain addresses and paths: anybody may ask.
        states = self._data.readiness()
        is_ready = set(states.values()) == {"ok"}
        code = HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Json({"ready": is_ready, **states}, code)

    def _metrics_text(self, _request: Request) -> Response:
        media_type = "text/plain; version=0.0.4; charset=utf-8"
        return Response(self._metrics.rendered(), media_type=media_type)

    def _http_error(self, request: Request, error: Exception) -> Response:
        code = getattr(error, "status_code", HTTPStatus.NOT_FOUND)
        what = "there is no such page" if code == HTTPStatus.NOT_FOUND else "this page is read-only"
        return self._error(request, code, what, headers=getattr(error, "headers", None))

    def _rotator_error(self, request: Request, error: Exception) -> Response:
        ours = error if isinstance(error, RotatorError) else RotatorError()
        return self._error(
            request, HTTPStatus.SERVICE_UNAVAILABLE, ours.message, hint=ours.hint, code=ours.code
        )

    def _unexpected(self, request: Request, error: Exception) -> Response:
        _log.error("unexpected error", path=request.url.path, exc_info=error)
        what = "this page could not be rendered; the error is in the log"
        return self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR, what)

    def _error(  # noqa: PLR0913  # what the page shows
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
        # Anybody may send a probe: the same path as in `AccessControl`.
        outages = {} if request.scope["path"] in PROBE_PATHS else self._pulse.outages()
        text = rendered(
            "error.html",
            status=int(status),
            message=message,
            hint=hint,
            now=datetime.now(UTC),
            banners=list(own_banners(outages, is_live=self._pulse.is_live())),
            version=self._version,
        )
        return HTMLResponse(text, status, headers=headers)


class Cached(Generic[Value]):
    """Keeps a value for a while. For many threads, of which one makes the value."""

    def __init__(self, make: Callable[[], Value], *, seconds: float) -> None:
        """Keep what `make` returns for so many seconds; what it raises is not kept."""
        self._make, self._seconds = make, seconds
        self._lock = threading.Lock()
        self._kept: tuple[Value, float] | None = None

    def get(self) -> Value:
        """Return the value."""
        with self._lock:
            if self._kept is None or time.monotonic() - self._kept[1] >= self._seconds:
                self._kept = self._make(), time.monotonic()
            return self._kept[0]


class PageData:
    """The data for the pages of one configuration."""

    def __init__(self, application: Application) -> None:
        """Prepare the caches; nothing is read yet."""
        self.application = application
        self._overview = Overview(application.settings.accounts)
        self._overview_lock = threading.Lock()
        self._gauges = AccountGauges(application.settings.accounts)
        self._gauges_lock = threading.Lock()
        self._timeline = Cached(self._read_timeline, seconds=_TIMELINE_CACHED)
        self._readiness = Cached(self._read_readiness, seconds=_READINESS_CACHED)

    def summaries(self) -> Mapping[str, AccountSummary]:
        """Return the summary of each account in the ledger."""
        return self.application.ledger.summaries.read()

    def gauges(self) -> Iterator[str]:
        """Yield the gauges of accounts and hooks, in Prometheus' text format."""
        ledger, summaries = self.application.ledger, self.summaries()
        with self._gauges_lock:
            yield from self._gauges.lines(summaries, datetime.now(UTC))
        hooks = [hook.name for hook in self.application.settings.hooks]
        yield from hook_gauges(hooks, ledger.count_undelivered())
        with suppress(WitnessConflict):
            yield from witness_gauge(ledger.newest_checkpoint())

    def warm_up(self) -> None:
        """Read all accounts, so that the first request need not wait for that."""
        now = datetime.now(UTC)
        with suppress(RotatorError):
            self.overview(Filter(), now)
            self.timeline()

    def overview(self, filter_: Filter, now: datetime) -> OverviewPage:
        """Return the accounts that match the filter."""
        with self._overview_lock:
            return self._overview.page(self.summaries(), filter_, now)

    def timeline(self) -> Timeline:
        """Return the rotations of the last days, of all accounts."""
        return self._timeline.get()

    def _read_timeline(self) -> Timeline:
        return timeline_until(datetime.now(UTC), self.application.ledger.page_reader.closed_by_day)

    def account(self, name: str, now: datetime) -> AccountDetail | None:
        """Return one account without reading the others; None where there is no such name."""
        account = self.application.accounts.get(name)
        if account is None:
            return None
        (summary,) = self.application.ledger.page_reader.accounts([name])
        (detail,) = self.details([AccountStatus(account=account, summary=summary, now=now)])
        return detail

    def documents(self, now: datetime) -> list[dict[str, object]]:
        """Return what `status --json` prints of each account."""
        with self._overview_lock:
            statuses = list(self._overview.statuses(self.summaries(), now))
        return [status.document() for status in self._with_deliveries(statuses)]

    def details(self, statuses: Iterable[AccountStatus]) -> list[AccountDetail]:
        """Return the accounts with the steps of their open rotations."""
        reader = self.application.ledger.page_reader
        statuses = self._with_deliveries(statuses)
        opened = [status.opened for status in statuses if status.opened]
        entries = reader.progress(opened) if opened else {}
        return [
            views.account_detail(
                status,
                entries.get(status.account.name, ()),
                # Few accounts have a secret that is not explained without.
                reader.expendable_ids(status.account.name) if views.has_unexplained(status) else (),
            )
            for status in statuses
        ]

    def _with_deliveries(self, statuses: Iterable[AccountStatus]) -> list[AccountStatus]:
        pending = self.application.ledger.pending_deliveries(for_pages=True)
        return [
            replace(status, undelivered=pending.get(status.account.name, ())) for status in statuses
        ]

    def readiness(self) -> dict[str, str]:
        """Return `ok` for ledger and Vault, or the code of the error of each."""
        return self._readiness.get()

    def _read_readiness(self) -> dict[str, str]:
        ledger, clients = self.application.ledger, self.application.clients
        return {
            "ledger": _state(lambda: ledger.page_reader.check()),  # noqa: PLW0108  # or opening it
            "vault": _state(lambda: clients.store.check(seconds=_VAULT_SECONDS)),
        }


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except RotatorError as error:
        return error.code
    return "ok"


def _own_address(request: Request) -> str:
    """Return path and query of a request."""
    path, query = request.url.path, request.url.query
    return f"{path}?{query}" if query else path


def _before(request: Request) -> int | None:
    text = request.query_params.get("before", "")
    return int(text) if text.isdecimal() and len(text) < 18 else None  # noqa: PLR2004
