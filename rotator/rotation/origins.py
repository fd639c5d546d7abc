"""Origins of secrets that rotator did not make or revoke: who did, when, and from where.

For people alone: no rule depends on it. Vonage's Audit API is asked only where there is something
to explain, once in a look, and what it has told is recorded.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from rotator.errors import Forbidden, IssuerError
from rotator.model import Account, Credential
from rotator.model.rotation import SecretRole
from rotator.rotation.audit_trail import EXPLAINED, AuditEvent, AuditKind, AuditTrail
from rotator.rotation.observation import Observation, Observed
from rotator.rotation.ports import NewEntry

#: How much the times of an event and of the secret that it made may differ.
_SAME_MOMENT = timedelta(seconds=5)
#: How much longer than the time in question events are asked for. Their times have no zone.
_MARGIN = timedelta(days=1)
#: How often a process asks about one secret: an event may be late, or too old to be kept.
_TIMES = 3
#: With more candidates, nothing is known.
_MOST_CANDIDATES = 3

_MADE, _REVOKED = "made", "revoked"


class Span(NamedTuple):
    """The time in which something was done."""

    since: datetime
    until: datetime

    def distance(self, at: datetime) -> timedelta:
        """Return how far `at` is outside of it; zero within."""
        return max(self.since - at, at - self.until, timedelta())


@dataclass(frozen=True, kw_only=True)
class _Question:
    """What is asked of secrets."""

    what: str
    kind: AuditKind
    #: The secrets it is asked of, by id.
    asked: Mapping[str, Span]
    #: All secrets that an event of this kind may be about.
    spans: Mapping[str, Span]

    def fits(self, secret_id: str, at: datetime) -> bool:
        """Return whether an event at this time may be about the secret: none must be nearer."""
        nearest = min(span.distance(at) for span in self.spans.values())
        return self.spans[secret_id].distance(at) == nearest <= _SAME_MOMENT


@dataclass(kw_only=True)
class Origins:
    """Asks who made or revoked the secrets that a look cannot explain. May be shared by threads."""

    trail: AuditTrail
    #: Why the newest question about an account has no answer, by the account's name.
    errors: dict[str, IssuerError] = field(default_factory=dict)
    _asked: Counter[tuple[str, str]] = field(default_factory=Counter)

    def explain(
        self, account: Account, observed: Observed, now: datetime
    ) -> tuple[Observation, list[NewEntry]]:
        """Return the observation with what is known now, and an entry for each thing learned.

        Nothing more is asked about an account that may not use the API.
        """
        observation, credential = observed.observation, observed.credential
        if credential is None or isinstance(self.errors.get(account.name), Forbidden):
            return observation, []
        seen = observation.ledger.seen
        listed = {
            secret.id: Span(secret.created_at, secret.created_at)
            for secret in observation.listing.secrets or ()
        }
        appeared = {
            secret_id: listed[secret_id]
            for secret_id in _foreign(observation)
            if self._is_asked(account, secret_id, seen.origins.get(secret_id))
        }
        since = Span(seen.seen_at or now, now)
        vanished = {
            secret_id: since
            for secret_id in _vanished(observation)
            if self._is_asked(account, secret_id, seen.origins.get(secret_id), _REVOKED)
        }
        if not (appeared or vanished):
            return observation, []
        made = _Question(what=_MADE, kind=AuditKind.CREATED, asked=appeared, spans=listed)
        revoked = _Question(what=_REVOKED, kind=AuditKind.DELETED, asked=vanished, spans=vanished)
        kinds = [each.kind for each in (made, revoked) if each.asked]
        events = self._ask(account, credential, kinds, appeared | vanished)
        ids = observation.listing.ids | observation.ledger.deleted_ids | vanished.keys()
        found = {**_told(made, events, ids), **_told(revoked, events, ids)}
        entries = [
            NewEntry(event=EXPLAINED, step=None, detail={"secret_id": secret_id, "why": words})
            for secret_id, words in sorted(found.items())
        ]
        seen = replace(seen, origins={**seen.origins, **found})
        ledger = replace(observation.ledger, seen=seen)
        return replace(observation, ledger=ledger), entries

    def _is_asked(
        self, account: Account, secret_id: str, known: str | None, what: str = ""
    ) -> bool:
        is_known = known is not None and known.startswith(what)
        return not is_known and self._asked[account.name, secret_id] < _TIMES

    def _ask(
        self,
        account: Account,
        credential: Credential,
        kinds: Iterable[AuditKind],
        spans: Mapping[str, Span],
    ) -> list[AuditEvent]:
        self._asked.update((account.name, secret_id) for secret_id in spans)
        self.errors.pop(account.name, None)
        since = min(span.since for span in spans.values()) - _MARGIN
        until = max(span.until for span in spans.values()) + _MARGIN
        try:
            found = self.trail.events(credential, kinds, since=since, until=until)
        except IssuerError as error:
            self.errors[account.name] = error
            return []
        return [event for event in found if event.account_id in (None, account.api_key)]


def _foreign(observation: Observation) -> list[str]:
    """Return the listed secrets that rotator did not make."""
    rotation = observation.rotation
    if rotation and rotation.sent_at and not rotation.new_id:
        # One of them may be its own.
        return []
    role_of = partial(
        SecretRole.of,
        current_id=observation.current_secret_id,
        opened=rotation,
        expendable_ids=observation.ledger.expendable_ids,
    )
    return [each for each in observation.listing.ids if role_of(each) is SecretRole.FOREIGN]


def _vanished(observation: Observation) -> set[str]:
    """Return the secrets that Vonage no longer lists, and that rotator did not delete."""
    ledger, current, rotation = observation.ledger, observation.current, observation.rotation
    known = set(ledger.seen.recorded_ids)
    if current.entry and current.entry.note and current.note_is_recorded:
        known.add(current.entry.note.secret_id)
    if rotation:
        known |= {each for each in (rotation.predecessor_id, rotation.new_id) if each}
    return known - observation.listing.ids - ledger.deleted_ids - ledger.perhaps_deleted_ids


def _told(question: _Question, events: Iterable[AuditEvent], ids: frozenset[str]) -> dict[str, str]:
    """Return what the events say of each secret, where they do.

    An event that names one of all `ids` is about that secret. Any other is about the one that is
    nearest in time, if it is near; several may be.
    """
    events = [event for event in events if event.kind is question.kind]
    found = {}
    for secret_id in question.asked:
        of_it = [event for event in events if secret_id in event.ids]
        of_it = of_it or [
            event for event in events if not event.ids & ids and question.fits(secret_id, event.at)
        ]
        candidates = list(dict.fromkeys(event.words for event in of_it))
        if len(candidates) == 1:
            found[secret_id] = f"{question.what} {candidates[0]}"
        elif 1 < len(candidates) <= _MOST_CANDIDATES:
            found[secret_id] = f"{question.what} {' or '.join(candidates)} (one of these)"
    return found
