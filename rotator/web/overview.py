"""The overview of all accounts: the state of each, the worst first, and a filter."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from typing import Self

from rotator.model import Account, State
from rotator.reporting.status import AccountStatus
from rotator.rotation.ports import AccountSummary
from rotator.web.upcoming import is_awaited

#: Accounts on one page.
PAGE = 50
#: Sort key of an account that is never due.
_NEVER = datetime.max.replace(tzinfo=UTC)
#: Maximum length of a search, in characters.
_LONGEST_SEARCH = 100
_ORDER = {state: place for place, state in enumerate(State)}


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Filter and page of the overview."""

    #: Part of a name, an api key, a path in Vault or a secret's id; "" for all.
    search: str = ""
    #: A state, or `attention`; "" for any state.
    state: str = ""
    #: Counted from 1.
    page: int = 1

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Self:
        """Parse a query; invalid parts are ignored."""
        state, page = parameters.get("state", ""), parameters.get("page", "")
        return cls(
            search=parameters.get("q", "").strip()[:_LONGEST_SEARCH],
            state=state if state in (*State, "attention") else "",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1,  # noqa: PLR2004
        )


@dataclass(frozen=True, kw_only=True)
class OverviewPage:
    """The counts of all accounts, and one page of those that match the filter."""

    #: Number of accounts by their most urgent state.
    mix: Mapping[State, int]
    #: Number of accounts that the filter finds for each state.
    counts: Mapping[State, int]
    #: Number of accounts that need attention.
    attention: int
    total: int
    #: Number of accounts that match the filter.
    found: int
    #: The page shown, no later than the last one.
    page: int
    pages: int
    shown: tuple[AccountStatus, ...]
    #: The account whose rotation or deletion comes next; None where none is expected.
    upcoming: AccountStatus | None


@dataclass(kw_only=True)
class _Row:
    """An account in the list, cached until its summary changes."""

    summary: AccountSummary | None
    #: As of its creation: what takes long to compute of it, it caches.
    status: AccountStatus
    #: The text to search.
    text: str
    #: Sort key among accounts in one state.
    order: tuple[datetime, str]
    #: As of the last query, and when they may change.
    states: tuple[State, ...] = ()
    changes_at: datetime | None = None
    seen_at: datetime | None = None
    needs_attention: bool = False

    @classmethod
    def of(cls, account: Account, summary: AccountSummary | None, now: datetime) -> Self:
        known = summary or AccountSummary(name=account.name)
        status = AccountStatus(account=account, summary=known, now=now)
        ids = {*known.listed_ids, known.current_id or ""}
        return cls(
            summary=summary,
            status=status,
            text="\n".join((account.name, account.api_key, account.vault_path, *ids)).lower(),
            order=(status.due_from or status.deletion_at or _NEVER, account.name),
        )

    def at(self, now: datetime) -> Self:
        """Update the states to `now`, and return self."""
        is_known = self.seen_at is not None and self.seen_at <= now
        if not is_known or (self.changes_at and now > self.changes_at):
            status = self.status.at(now)
            self.states = tuple(condition.state for condition in status.conditions)
            self.needs_attention = status.needs_attention
            self.changes_at, self.seen_at = status.changes_at, now
        return self

    @property
    def state(self) -> State:
        """The most urgent state."""
        return self.states[0]

    @property
    def rank(self) -> tuple[bool, int]:
        """The account's rank in the list: what needs attention comes first, the worst ahead."""
        return not self.needs_attention, _ORDER[self.state]

    @property
    def found_as(self) -> set[State]:
        """The states for which it is found: its own, and every further trouble."""
        return {self.state, *(state for state in self.states if state.needs_attention)}

    def matches(self, wanted: Filter) -> bool:
        if wanted.search and wanted.search.lower() not in self.text:
            return False
        match wanted.state:
            case "":
                return True
            case "attention":
                return self.needs_attention
            case _:
                return wanted.state in self.found_as


class Overview:
    """The accounts of one configuration. For one thread at a time."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        """Store the accounts; nothing is known of them yet."""
        self._accounts = tuple(accounts)
        self._rows: dict[str, _Row] = {}
        #: In order of what happens next; empty if that order may have changed.
        self._ordered: list[_Row] = []

    def page(
        self, summaries: Mapping[str, AccountSummary], wanted: Filter, now: datetime
    ) -> OverviewPage:
        """Return the accounts that match, the worst first."""
        rows = list(self._updated(summaries, now))
        self._ordered = self._ordered or sorted(rows, key=attrgetter("order"))
        mix = Counter(row.state for row in rows)
        counts = Counter(state for row in rows for state in row.found_as)
        found = [row for row in self._ordered if row.matches(wanted)]
        # Stable: accounts of one rank keep their order.
        found.sort(key=attrgetter("rank"))
        pages = max(1, -(-len(found) // PAGE))
        page = min(wanted.page, pages)
        shown = found[(page - 1) * PAGE : page * PAGE]
        return OverviewPage(
            mix={state: mix[state] for state in State},
            counts={state: counts[state] for state in State},
            attention=sum(row.needs_attention for row in rows),
            total=len(rows),
            found=len(found),
            page=page,
            pages=pages,
            shown=tuple(replace(row.status, now=now) for row in shown),
            upcoming=self._upcoming(now),
        )

    def statuses(
        self, summaries: Mapping[str, AccountSummary], now: datetime
    ) -> Iterator[AccountStatus]:
        """Yield each account's status, in the order of the configuration."""
        for row in self._updated(summaries, now):
            yield replace(row.status, now=now)

    def _updated(self, summaries: Mapping[str, AccountSummary], now: datetime) -> Iterator[_Row]:
        for account in self._accounts:
            row, summary = self._rows.get(account.name), summaries.get(account.name)
            if row is None or row.summary is not summary:
                row = self._rows[account.name] = _Row.of(account, summary, now)
                self._ordered = []
            yield row.at(now)

    def _upcoming(self, now: datetime) -> AccountStatus | None:
        """Return the account whose rotation or deletion comes first."""
        times = ((row.order[0], row.status) for row in self._ordered)
        statuses = (replace(status, now=now) for at, status in times if now < at < _NEVER)
        return next((each for each in statuses if is_awaited(each)), None)
