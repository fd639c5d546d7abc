"""What the checks come to: one sentence, and each cause once, however many accounts it concerns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from rotator.doctor.check import CheckResult, Verdict
from rotator.model import Account

#: What differs between accounts with the same cause: a secret's id, a version, a time.
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ID"),
    (re.compile(r"(?<=version[ =])\d+|(?<=versions=)\d+"), "N"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)? UTC\b"), "TIME"),
)
#: As many subjects are named one by one.
_NAMED = 3


def causes(checks: Iterable[CheckResult], accounts: Mapping[str, Account]) -> list[CheckResult]:
    """Return the problems, then the warnings: those of one cause as one."""
    found: dict[tuple[str | None, ...], list[CheckResult]] = {}
    for check in checks:
        if check.verdict is not Verdict.OK:
            words = _own_words(check, accounts)
            hint = check.hint and _general(check.hint, words)
            # What concerns the whole, such as the ledger, is in the way of several checks.
            name = check.name if check.about else ""
            key = (check.verdict, name, _general(check.finding, words), hint)
            found.setdefault(key, []).append(check)
    all_causes = [_cause(key, alike) for key, alike in found.items()]
    return sorted(all_causes, key=lambda cause: cause.verdict is not Verdict.FAILED)


def verdict(found: Sequence[CheckResult], checks: int) -> str:
    """Return the result in one sentence: `3 problems and 1 warning in 41 checks`.

    That no daemon polls is part of it: what is ready is not rotated.
    """
    made = _counted(checks, "check")
    problems = sum(cause.verdict is Verdict.FAILED for cause in found)
    warnings = len(found) - problems
    if not found:
        return f"everything is ready: {made}"
    if not problems:
        return f"ready, with {_counted(warnings, 'warning')} in {made}"
    also = f" and {_counted(warnings, 'warning')}" if warnings else ""
    is_silent = any((each.name, each.verdict) == ("daemon", Verdict.FAILED) for each in found)
    silent = "; no daemon polls" if is_silent else ""
    return f"{_counted(problems, 'problem')}{also} in {made}{silent}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _cause(key: tuple[str | None, ...], alike: Sequence[CheckResult]) -> CheckResult:
    """Return the checks with one cause as one, with NAME, ID and the like for what differs."""
    subjects = list(dict.fromkeys(check.about for check in alike))
    if len(subjects) == 1:
        return alike[0]
    _, _, finding, hint = key
    return replace(alike[0], about=listed(subjects), finding=finding or "", hint=hint)


def listed(subjects: Sequence[str]) -> str:
    """Return the subjects: `sms-prod, voice-prod and 12 more`."""
    if len(subjects) <= _NAMED:
        return ", ".join(subjects)
    first, second, *others = subjects
    return f"{first}, {second} and {len(others)} more"


def _own_words(check: CheckResult, accounts: Mapping[str, Account]) -> dict[str, str]:
    """Return the words that belong to the check's account or path, and what stands for them."""
    account = accounts.get(check.about)
    if account is None:
        return {check.about: "PATH"} if check.about else {}
    return {
        account.pending_path: "PENDING_PATH",
        account.vault_path: "VAULT_PATH",
        account.api_key: "API_KEY",
        account.name: "NAME",
    }


def _general(text: str, words: Mapping[str, str]) -> str:
    for word in sorted(words, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(word)}(?![\w-])", words[word], text)
    for pattern, what in _VARYING:
        text = pattern.sub(what, text)
    return text
