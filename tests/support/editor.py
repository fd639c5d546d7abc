"""An editor's view of a configuration: its JSON Schema, and what that can and cannot see."""

import json
import math
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker, ValidationError, validators

from rotator.config import Settings, load
from rotator.config.sections import AUTH_METHODS
from rotator.errors import ConfigError

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "config.schema.json").read_text())

_RFC_3339 = r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"
_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time")
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(re.fullmatch(_RFC_3339, value))


def _pattern(
    _validator: object, pattern: str, text: object, _schema: object
) -> Iterator[ValidationError]:
    """Match as editors do: `$` is the end alone, in Python also before a last newline."""
    whole = rf"{pattern[:-1]}\Z" if pattern.endswith("$") else pattern
    if isinstance(text, str) and not re.search(whole, text):
        yield ValidationError(f"{text!r} does not match {pattern!r}")


_Validator = validators.extend(Draft7Validator, {"pattern": _pattern})  # type: ignore[no-untyped-call]
_VALIDATOR = _Validator(SCHEMA, format_checker=_FORMATS)

#: What only `config check` can see, by words of its message or of the file, and why.
ONLY_CONFIG_CHECK = {
    "is already that of": "compares two tables",
    "is not configured": "looks for another table",
    "matches no account": "looks for another table",
    "is the account itself": "compares two keys",
    "is itself managed by another": "looks at another table",
    "is the same field as": "compares two keys",
    "is that of daemon.listen": "compares two tables",
    "lies within": "compares two keys",
    "is at, below or above": "compares two tables",
    "signs what is published nowhere": "a variable may name the place",
    "begins with the mount": "compares two keys",
    "is not after from": "compares two times",
    "days after from": "compares two times",
    "so rotations would overlap": "compares durations",
    "secrets get up to": "computes with durations",
    "is less than every (": "compares durations",
    "is not within 1s to 5m": "a text has no order",
    'patience = "1h"': "a text has no order",
    "is not within 1s to 1h": "a text has no order",
    "is longer than 36500d": "a text has no order",
    "has a bad": "computes with the numbers of cron",
    "skip each time of cron": "computes with the numbers of cron",
    "which is not a window": "knows no days of the week",
    "names a day": "knows no days of the week",
    "is not a time zone": "knows no time zones",
    "waits for this machine's clock": "derives the name of a hook",
    "can be reached from other machines": "a variable may name the token's file",
    "needs a key": "a variable may name the key's file",
    "is required by method": "a variable or a credential of systemd may set it",
    "there is no secret_id_file": "a credential of systemd may be it",
    "is the key of no certificate": "a variable may name the certificate",
    "vault.address: is required": "a variable may set it",
    "needs $HOME": "knows no environment",
    "pass%77ord": "decodes no percent signs",
    "$CREDENTIALS_DIRECTORYX": "knows no end of a name",
    "https://host:70000": "a text has no order",
}


def objections(tables: Mapping[str, Any]) -> list[str]:
    """Return what the schema has against a configuration."""
    found = _VALIDATOR.iter_errors(as_json(tables))
    return [f"{error.json_path}: {error.message}" for error in found]


def as_json(value: object) -> Any:  # noqa: ANN401  # whatever JSON has
    """Return a value of TOML as taplo passes it to its validator."""
    match value:
        case dict():
            return {key: as_json(item) for key, item in value.items()}
        case list():
            return [as_json(item) for item in value]
        case datetime() | date() | time():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value


def whole_example(method: str) -> str:
    """Return the example configuration with the keys in comments, for a method of logging in."""
    others = {key for keys in AUTH_METHODS.values() for each in keys for key in each}
    others -= {key for each in AUTH_METHODS[method] for key in each}
    left_out = ("#:schema", "url =", "every =", *(f"#{key} =" for key in others))
    lines = (ROOT / "config.example.toml").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith(left_out) and line[:2] != "# "]
    text = "\n".join(line.removeprefix("#") for line in lines)
    return text.replace('method = "token"', f'method = "{method}"')


def lint(path: Path) -> subprocess.CompletedProcess[str]:
    """Check a file as an editor with taplo does, by the schema that its first line names."""
    taplo = Path(sys.executable).with_name("taplo")
    command = [str(taplo), "lint", "--no-auto-config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def load_judged(path: Path, environ: Mapping[str, str], *, is_strict: bool = False) -> Settings:
    """Load a configuration, and require of the schema to judge the same as far as it can.

    What is loaded has no objection. What is refused has one, unless each problem is one that only
    `config check` can see, or comes from the environment.
    """
    try:
        settings = load(path, environ, is_strict=is_strict)
    except ConfigError as error:
        if not environ and (tables := _read(path)) is not None:
            text = path.read_text(encoding="utf-8-sig")
            seen = [line for line in _problems(error) if not _is_beyond_schema(line, text)]
            assert objections(tables) or not seen, f"no objection to: {seen}"
        raise
    tables = _read(path)
    assert tables is not None
    assert objections(tables) == []
    return settings


def _read(path: Path) -> dict[str, Any] | None:
    """Return the tables of a file; None where an editor cannot parse it, either."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, OSError, RecursionError):
        return None


def _problems(error: ConfigError) -> list[str]:
    first, *others = error.message.split("\n  ")
    return others or [first]


def _is_beyond_schema(problem: str, text: str) -> bool:
    if "belongs to method" in problem and "method =" not in text:
        # A variable may name the method.
        return True
    return any(words in problem or words in text for words in ONLY_CONFIG_CHECK)
