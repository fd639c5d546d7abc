"""What pages say of the daemons that use the ledger: when each polled, what it cannot use."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from rotator.ledger.daemons import DaemonRecord, Outage, is_silent, last_poll
from rotator.model.notification import outage_title
from rotator.reporting.daemons import silence


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Something that concerns no account alone: what, why, since when, and the cure."""

    title: str
    #: Stable name of the cause; None where the title says it.
    code: str | None = None
    why: str
    hint: str | None
    since: datetime | None = None
    #: The daemons concerned; empty if there is only one.
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DaemonsView:
    """The daemons, as of their last polls, and what is wrong with them."""

    #: The latest poll first.
    records: tuple[DaemonRecord, ...]
    is_silent: bool
    banners: tuple[Banner, ...]


def daemons_view(
    records: Sequence[DaemonRecord], own: Mapping[str, Outage], *, is_live: bool, now: datetime
) -> DaemonsView:
    """Return what to say of all daemons; `own` outages and `is_live` are of this process."""
    newest_first = sorted(records, key=lambda record: record.polled_at, reverse=True)
    banners = (
        *own_banners({}, is_live=is_live),
        *_silence(records, now),
        *_outages(records, own, now),
    )
    return DaemonsView(
        records=tuple(newest_first), is_silent=is_silent(records, now), banners=banners
    )


def own_banners(own: Mapping[str, Outage], *, is_live: bool) -> Iterator[Banner]:
    """Yield what is wrong with this process alone, for when the ledger cannot be read."""
    if not is_live:
        yield Banner(
            title="This daemon does not work",
            why="its scheduler is not running, so that it neither rotates nor deletes anything",
            hint="`systemctl restart rotator.service` starts it again",
        )
    for component, outage in own.items():
        yield _banner(component, outage)


def _silence(records: Sequence[DaemonRecord], now: datetime) -> Iterator[Banner]:
    if silent := silence(records, now):
        why, hint = silent
        yield Banner(title="No daemon is at work", why=why, hint=hint, since=last_poll(records))


def _outages(
    records: Sequence[DaemonRecord], own: Mapping[str, Outage], now: datetime
) -> Iterator[Banner]:
    """Yield each outage once, however many daemons have it."""
    live = [record for record in records if record.is_live(now)]
    found: dict[tuple[str, str], Banner] = {}
    for record in live:
        for component, outage in record.outages.items():
            banner = found.get((component, outage.code)) or _banner(component, outage)
            since = min(banner.since or outage.since, outage.since)
            hosts = (*banner.hosts, record.host) if len(live) > 1 else ()
            found[component, outage.code] = replace(banner, since=since, hosts=hosts)
    for component, outage in own.items():
        # Its row has it from the next poll on.
        found.setdefault((component, outage.code), _banner(component, outage))
    yield from found.values()


def _banner(component: str, outage: Outage) -> Banner:
    title = outage_title(component)
    return Banner(
        title=title[:1].upper() + title[1:],
        code=outage.code,
        why=outage.why,
        hint=outage.hint,
        since=outage.since,
    )
