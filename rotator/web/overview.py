"""The overview of all accounts: the state of each, the worst first, and a filter."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter

from rotator.model import Account
from rotator.reporting.status import AccountStatus, Phase
from rotator.rotation.ports import AccountSummary

#: Accounts on one page.
PAGE = 50
#: Sort key of an account that is never due.
_NEVER = datetime.max.replace(tzinfo=UTC)
#: Maximum length of a search, in characters.
_LONGEST_SEARCH = 100


class State(StrEnum):
    """An account's displayed state, the worst first."""

    DRIFTED = "drifted"
    OVERDUE = "overdue"
    FAILED = "failed"
    HELD = "held"
    ROTATING = "rotating"
    DUE = "due"
    #: Waits in its grace.
    WAITING = "waiting"
    #: Never observed.
    NEW = "new"
    HEALTHY = "healthy"

    @property
    def needs_attention(self) -> bool:
        """Whether an account in this state needs attention."""
        return self in _BAD


_BAD = (State.DRIFTED, State.OVERDUE, State.FAILED, State.HELD)
_ORDER = {state: place for place, state in enumerate(State)}
_OF_PHASE = {
    Phase.IDLE: State.HEALTHY,
    Phase.ROTATING: State.ROTATING,
    Phase.WAITING: State.WAITING,
    Phase.FAILED: State.FAILED,
    Phase.HELD: State.HELD,
    Phase.DRIFT: State.DRIFTED,
    Phase.NEW: State.NEW,
}
#: States shown even for an account that is late.
_TOLD_FIRST = (State.HELD, State.DRIFTED)


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
    def of(cls, parameters: Mapping[str, str]) -> "Filter":
        """Parse a query; invalid parts are ignored."""
        state, page = parameters.get("state", ""), parameters.get("page", "")
        return cls(
            search=parameters.get("q", "").strip()[:_LONGEST_SEARCH],
            state=state if state in (*State, "attention") else "",
            page=max(1, int(page)) if page.isdecimal() and len(page) < 9 else 1,  # noqa: PLR2004
        )


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """An account with its present status."""

    state: State
    standing: AccountStatus


@dataclass(frozen=True, kw_only=True)
class OverviewPage:
    """The counts of all accounts, and one page of those that match the filter."""

    #: Number of accounts in each state.
    counts: Mapping[State, int]
    #: Number of accounts that need attention.
    attention: int
    total: int
    #: Number of accounts that match the filter.
    found: int
    #: The page shown, no later than the last one.
    page: int
    pages: int
    shown: tuple[AccountView, ...]
    #: The account to be rotated next; None where no rotation is expected.
    upcoming: AccountView | None


@dataclass(kw_only=True)
class _Place:
    """Cached part of an account's view, valid until the ledger changes."""

    record: AccountSummary | None
    standing: AccountStatus
    state: State
    due_from: datetime | None
    late_from: datetime | None
    #: The text to search.
    text: str
    #: Sort key among accounts in one state.
    order: tuple[datetime, str]
    #: State at the last query.
    now: State = State.NEW
    is_late: bool = False

    def at(self, now: datetime) -> "_Place":
        """Update the state to `now`, and return self."""
        self.is_late = self.late_from is not None and now > self.late_from
        self.now = self.state
        if self.state not in _TOLD_FIRST:
            if self.is_late:
                self.now = State.OVERDUE
            elif self.state is State.HEALTHY and self.due_from is not None and now >= self.due_from:
                self.now = State.DUE
        return self

    @property
    def rank(self) -> int:
        """The account's rank in the list: a held account that is late ranks with the late ones."""
        return min(_ORDER[self.now], _ORDER[State.OVERDUE]) if self.is_late else _ORDER[self.now]


class Overview:
    """The accounts of one configuration. For one thread at a time."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        """Store the accounts; nothing is known of them yet."""
        self._accounts = tuple(accounts)
        self._places: dict[str, _Place] = {}
        #: The accounts in order of their next due times, and whether that order changed.
        self._ordered: list[_Place] = []
        self._is_new = True

    def look(
        self, records: Mapping[str, AccountSummary], question: Filter, now: datetime
    ) -> OverviewPage:
        """Return the accounts that match, the worst first."""
        places = self._in_order(records, now)
        counts = Counter(place.now for place in places)
        attention = sum(place.now in _BAD or place.is_late for place in places)
        found = [place for place in places if _is_asked(place, question)]
        # Stable: accounts of one rank keep their order.
        found.sort(key=attrgetter("rank"))
        pages = max(1, -(-len(found) // PAGE))
        page = min(question.page, pages)
        return OverviewPage(
            counts={state: counts[state] for state in State},
            attention=attention,
            total=len(places),
            found=len(found),
            page=page,
            pages=pages,
            shown=tuple(_shown(place, now) for place in found[(page - 1) * PAGE : page * PAGE]),
            upcoming=_upcoming(places, now),
        )

    def standings(
        self, records: Mapping[str, AccountSummary], now: datetime
    ) -> Iterable[AccountStatus]:
        """Yield each account's status, in the order of the configuration."""
        for account in self._accounts:
            yield _shown(self._placed(account, records.get(account.name), now), now).standing

    def _in_order(self, records: Mapping[str, AccountSummary], now: datetime) -> list[_Place]:
        """Return all accounts in order, those that need action first."""
        places = [self._placed(each, records.get(each.name), now) for each in self._accounts]
        if self._is_new:
            self._ordered = sorted(places, key=attrgetter("order"))
            self._is_new = False
        return self._ordered

    def _placed(self, account: Account, record: AccountSummary | None, now: datetime) -> _Place:
        place = self._places.get(account.name)
        if place is None or place.record is not record:
            place = self._places[account.name] = _place(account, record, now)
            self._is_new = True
        return place.at(now)


def stands(account: Account, record: AccountSummary, now: datetime) -> AccountView:
    """Return the status of one account, independent of the others."""
    return _shown(_place(account, record, now).at(now), now)


def _place(account: Account, record: AccountSummary | None, now: datetime) -> _Place:
    standing = AccountStatus.of(account, record or AccountSummary.blank(account.name), now)
    ids = {*standing.secret_ids, standing.current_id or ""}
    texts = (account.name, account.api_key, account.vault_path, *ids)
    return _Place(
        record=record,
        standing=standing,
        state=_OF_PHASE[standing.phase],
        due_from=standing.due_from,
        late_from=standing.late_from,
        text="\n".join(texts).lower(),
        order=(standing.next_due_at or _NEVER, account.name),
    )


def _upcoming(places: Iterable[_Place], now: datetime) -> AccountView | None:
    healthy = (place for place in places if place.now is State.HEALTHY and place.due_from)
    first = next(healthy, None)
    return _shown(first, now) if first else None


def _is_asked(place: _Place, question: Filter) -> bool:
    if question.search and question.search.lower() not in place.text:
        return False
    match question.state:
        case "":
            return True
        case "attention":
            return place.now in _BAD or place.is_late
        case State.OVERDUE.value:
            return place.is_late
        case _:
            return place.now == question.state


def _shown(place: _Place, now: datetime) -> AccountView:
    return AccountView(state=place.now, standing=replace(place.standing, now=now))
