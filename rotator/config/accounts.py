"""`[[accounts]]`, and the rules between an account, the others and the related tables."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from rotator.config.errors import ConfigProblem, InvalidValue, Located, Location, did_you_mean
from rotator.config.freezes import FreezeTable, freezes_of
from rotator.config.sections import VaultSettings, VonageSettings
from rotator.config.types import (
    CRON_FORM,
    HOW_TO_WRITE,
    POSITIVE,
    ApiKey,
    Duration,
    FieldName,
    Name,
    OptionalFieldName,
    Table,
    VaultPath,
    cron_expression,
    duration,
    form,
    member_of,
)
from rotator.model import NEVER, Account, OnForeign, Policy
from rotator.model.generation import MAX_LENGTH, MIN_LENGTH
from rotator.model.times import exact_duration, format_duration
from rotator.rotation import window
from rotator.rotation.spacing import Interval, longest

if TYPE_CHECKING:
    from rotator.config.discovery import DiscoverTable

#: Base of `[policy]`.
DEFAULT_POLICY = Policy(
    every=timedelta(days=30),
    cron=None,
    timezone="UTC",
    jitter=timedelta(hours=1),
    grace=timedelta(hours=24),
    max_age=timedelta(days=45),
    length=25,
    on_foreign=OnForeign.REFUSE,
)


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        meant = did_you_mean(text, sorted(available_timezones()))
        hint = "write an IANA name such as Europe/Berlin or UTC"
        raise InvalidValue(f"is not a time zone{meant}", hint=hint) from None
    return text


def _windows(value: object) -> tuple[str, ...]:
    """Accept one window or a list; an empty text or an empty list means always."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue("is neither a string nor a list of strings", hint=_HOW_TO_WRITE_WINDOWS)
    texts = [" ".join(text.lower().split()) for text in texts if text.strip()]
    for text in texts:
        try:
            window.parse(text)
        except ValueError as error:
            rule = str(error) if isinstance(value, str) else f"has {text[:40]!r}, which {error}"
            raise InvalidValue(rule, hint=_HOW_TO_WRITE_WINDOWS) from None
    return tuple(texts)


_WINDOW_FORM = r"\s*([A-Za-z,-]+\s+)?[0-9]{2}:[0-5][0-9]-[0-9]{2}:[0-5][0-9]\s*|\s*"
_WINDOW = {"type": "string", "pattern": f"^({_WINDOW_FORM})$"}

_HOW_TO_WRITE_WINDOWS = 'write "sun 02:00-05:00" or "mon-fri 22:00-04:00", or a list of these'


def _euros(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue("is not a number")
    # A fraction is converted through its text: 0.1 is not 0.1000000000000000055.
    euros = Decimal(value if isinstance(value, int) else str(value))
    if not euros.is_finite():
        raise InvalidValue("is not a finite number")
    return euros


def _every(value: object) -> timedelta | str:
    if value == NEVER:
        return NEVER
    try:
        every = duration(value)
    except InvalidValue as invalid:
        hint = f'{HOW_TO_WRITE}, or "{NEVER}"' if invalid.hint else None
        raise InvalidValue(str(invalid), hint=hint) from None
    if every < timedelta(seconds=1):
        raise InvalidValue("is less than 1s")
    return every


class PolicyTable(Table):
    """`[policy]`: how secrets are rotated.

    An account and a discovery rule have the same keys. None where a key is missing.
    """

    every: Annotated[
        timedelta | Literal["never"] | None, BeforeValidator(_every), form(f"{NEVER}|{POSITIVE}")
    ] = None
    cron: Annotated[str | None, AfterValidator(cron_expression), form(CRON_FORM)] = None
    timezone: Annotated[str | None, AfterValidator(_timezone), form("[A-Za-z0-9._+/-]+")] = None
    jitter: Duration | None = None
    grace: Duration | None = None
    max_age: Duration | None = None
    length: Annotated[int | None, Field(ge=MIN_LENGTH, le=MAX_LENGTH)] = None
    on_foreign: Annotated[OnForeign | None, member_of(OnForeign)] = None
    window: Annotated[
        tuple[str, ...] | None,
        BeforeValidator(_windows),
        WithJsonSchema({"anyOf": [_WINDOW, {"type": "array", "items": _WINDOW}]}),
    ] = None
    prove_deletion: bool | None = None
    #: None: the balance is not checked. No account has more than a billion.
    min_balance: Annotated[
        Decimal | None,
        BeforeValidator(_euros),
        Field(ge=0, le=10**9),
        WithJsonSchema({"type": "number", "minimum": 0, "maximum": 10**9}),
    ] = None

    def given(self) -> dict[str, Any]:
        """Return the policy keys that this table sets, with their values."""
        values = {key: getattr(self, key) for key in PolicyTable.model_fields}
        return {key: value for key, value in values.items() if value is not None}


class AccountTable(PolicyTable):
    """`[[accounts]]`: one account, with its deviating policy keys."""

    name: Name
    api_key: ApiKey
    vault_path: VaultPath
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Field for the replaced value, until its secret is deleted; "" for none.
    previous_field: OptionalFieldName = ""
    #: Name of the parent account; "" for none.
    managed_by: str = ""

    def account(self, default: Policy, placement: "Placement") -> Account:
        """Build the account of this table."""
        own = {
            key: value for key, value in dict(self).items() if key not in PolicyTable.model_fields
        }
        return placement.account(self, default, **own)


def policy_of(table: PolicyTable, default: Policy) -> Policy:
    """Build a policy: what the table sets, the rest from the default.

    `every` and `cron` replace each other. Rotated on request only, a secret may get as old as it
    does, unless the same table sets `max_age`; a schedule beside it has its usual `max_age` again.
    """
    given = table.given()
    if "every" in given or "cron" in given:
        max_age = None if given.get("every") == NEVER else default.max_age or DEFAULT_POLICY.max_age
        default = replace(default, every=None, cron=None, max_age=max_age)
    if given.get("every") == NEVER:
        del given["every"]
    return replace(default, **given)


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Settings that all accounts share: issuer, prefix of paths in Vault, change freezes."""

    #: Host of the Vonage API.
    issuer: str
    #: The mount, preceded by the namespace if there is one.
    mount: str
    pending_prefix: str
    freezes: tuple[FreezeTable, ...]

    @classmethod
    def of(
        cls, vonage: VonageSettings, vault: VaultSettings, freezes: tuple[FreezeTable, ...]
    ) -> Self:
        """Derive it from the tables."""
        return cls(
            issuer=urlsplit(vonage.api_url).hostname or "",
            mount=f"{vault.namespace}/{vault.mount}".strip("/"),
            pending_prefix=vault.pending_prefix,
            freezes=freezes,
        )

    def account(
        self,
        table: PolicyTable,
        default: Policy,
        *,
        name: str,
        **own: Any,  # noqa: ANN401  # the other fields
    ) -> Account:
        """Build an account with the policy of its table."""
        return Account(
            name=name,
            issuer=self.issuer,
            mount=self.mount,
            pending_path=f"{self.pending_prefix}/{name}",
            policy=replace(policy_of(table, default), freezes=freezes_of(name, self.freezes)),
            **own,
        )


#: Keys that decide when rotations are.
_TIMES = ("every", "cron", "timezone", "jitter", "window")


def policy_problems(
    place: Location, table: PolicyTable, policy: Policy, *, is_strict: bool
) -> Iterator[ConfigProblem]:
    """Yield the problems of a policy that this table contributes to.

    If not `is_strict`, only those of `every` without its delays: a policy that is a little too
    tight works, and a daemon that was started with it must start again after an upgrade.
    """
    given = table.given()
    if not is_strict:
        policy = replace(policy, jitter=timedelta(), window=())
    if policy.is_on_request or (policy.cron is not None and not is_strict):
        return
    if given.keys() & {"grace", *_TIMES} and (what := overlap(policy)):
        rarer = "raise every" if policy.every is not None else "let cron come less often"
        hint = f"lower grace, or {rarer}"
        yield place.problem(_first_of(given, "grace"), what, hint)
    max_age = policy.max_age
    if max_age is None or not given.keys() & {"max_age", *_TIMES}:
        return
    if problem := _overdue(policy, max_age):
        yield place.problem(_first_of(given, "max_age"), *problem)


def _first_of(given: Mapping[str, object], key: str) -> str:
    return next(name for name in (key, *_TIMES) if name in given)


def overlap(policy: Policy) -> str | None:
    """Return in words why each rotation is due before the last one's grace is over; None if not.

    With `cron`, some may be: such a one begins at the end of the grace.
    """
    grace = format_duration(policy.grace)
    if policy.is_on_request:
        return None
    if policy.every is not None:
        every, is_over = format_duration(policy.every), policy.grace < policy.every
        what = f"is not less than every ({every})"
    else:
        found = longest(policy)
        is_over = not policy.grace or found is None or policy.grace < found.total
        what = "is not less than the longest time between two rotations"
        what += f" ({_sum(policy, found)} = {exact_duration(found.total)})" if found else ""
    return None if is_over else f"grace ({grace}) {what}, so rotations would overlap"


def _overdue(policy: Policy, longest_age: timedelta) -> tuple[str, str] | None:
    """Return in words why a secret gets older than `max_age`, and a hint; None if none does."""
    max_age, every = format_duration(longest_age), policy.every
    found = longest(policy)
    if found is None:
        what = f"the clocks of {policy.timezone} skip each time of cron, so it would never come"
        return what, "name an hour that they do not skip"
    if found.total <= longest_age:
        return None
    if every is not None and longest_age < every:
        what = f"max_age ({max_age}) is less than every ({format_duration(every)})"
        what += ", so the account would always be overdue"
    else:
        total = exact_duration(found.total)
        what = (
            f"secrets get up to {total} old ({_sum(policy, found)}), more than max_age ({max_age})"
        )
    return what, _how_to_keep(policy, found, longest_age)


def _how_to_keep(policy: Policy, interval: Interval, longest_age: timedelta) -> str:
    """Return which keys to change for an interval to be within `max_age`."""
    days = -(-interval.total // timedelta(days=1))
    ways = [f"raise max_age to at least {days}d"]
    delays = interval.jitter + interval.spread
    if delays and interval.total - delays <= longest_age:
        ways.append("lower jitter")
    if interval.wait:
        ways.append("let windows open more often")
    # As long as windows are closed for longer, no rotation helps.
    if interval.wait <= longest_age:
        ways.append("lower every" if policy.every is not None else "let cron come more often")
    return f"{', '.join(ways[:-1])}, or {ways[-1]}"


def _sum(policy: Policy, interval: Interval) -> str:
    """Return the parts of an interval between two rotations."""
    schedule = "every {}" if policy.every is not None else "{} between two times of cron"
    parts = [
        (schedule, interval.schedule),
        (" - {} by which the first rotation is late", interval.late),
        (" + jitter {}", interval.jitter),
        (" + up to {} until the next window", interval.wait),
        (" + jitter {} in it", interval.spread),
    ]
    return "".join(form.format(exact_duration(part)) for form, part in parts if part)


def account_problems(
    accounts: Iterable[Located[AccountTable]],
    parents: Mapping[str, object],
    vault: VaultSettings | None,
) -> Iterator[ConfigProblem]:
    """Yield the problems between accounts.

    `parents` maps the name of every account of the file, valid or not, to its `managed_by`; `vault`
    is None where it is invalid.
    """
    seen: dict[tuple[str, str], Location] = {}
    for account in accounts:
        place, table = account.place, account.table
        for key in ("name", "api_key", "vault_path"):
            value: str = getattr(table, key)
            first = seen.setdefault((key, value), place)
            if first is not place:
                yield place.problem(key, f"{value!r} is already that of {first.key()}")
        yield from entry_problems(place, table, vault)
        if table.managed_by:
            what = parent_problem(table.managed_by, parents)
            if table.managed_by == table.name:
                what = f"{table.name!r} is the account itself"
            if what:
                hint = 'name another account of this file that has no parent itself, or "" for none'
                yield place.problem("managed_by", what, hint)


def entry_problems(
    place: Location, table: "AccountTable | DiscoverTable", vault: VaultSettings | None
) -> Iterator[ConfigProblem]:
    """Yield the problems of an entry in Vault: its fields, and its path."""
    if table.secret_field == table.key_field:
        yield place.problem("secret_field", "is the same field as key_field")
    for key in ("secret_field", "key_field"):
        if table.previous_field == getattr(table, key):
            yield place.problem("previous_field", f"is the same field as {key}")
    if vault is None:
        return
    path, prefix = table.vault_path, f"{vault.mount}/data/"
    if path.startswith(prefix):
        # The form that a policy has.
        what = f"{path!r} begins with the mount, which vault.mount names already"
        yield place.problem("vault_path", what, f"write {path.removeprefix(prefix)}")
    if lies_within(path, vault.pending_prefix):
        yield place.problem(
            "vault_path",
            f"{path!r} lies within vault.pending_prefix ({vault.pending_prefix!r}), "
            "where rotator writes and deletes",
        )


def parent_problem(parent: str, parents: Mapping[str, object]) -> str | None:
    """Return why an account cannot be a parent, or None; `parents` as in `account_problems`."""
    if parent not in parents:
        return f"{parent!r} is not configured{did_you_mean(parent, parents)}"
    if parents[parent]:
        return f"{parent!r} is itself managed by another; Vonage has one level of subaccounts"
    return None


def lies_within(path: str, prefix: str) -> bool:
    """Return whether `path` is `prefix` or below it."""
    return f"{path}/".startswith(f"{prefix}/")
