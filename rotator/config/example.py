"""The example configuration: what a new one starts from, and what every key means."""

import json
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from rotator.config import types, urls
from rotator.config.errors import InvalidValue

_NAME = "config.example.toml"
_SCHEMA = "config.schema.json"
#: Names the schema to an editor, in the first line of a configuration.
_DIRECTIVE = "#:schema "


@dataclass(frozen=True, kw_only=True)
class ExampleKey:
    """A key in the example configuration."""

    #: The comment above it, on one line.
    meaning: str
    #: Its value there.
    value: object


def example() -> str:
    """Read the example configuration: from an installed wheel, else from the checkout."""
    installed = _installed()
    file = installed if installed.is_file() else Path(__file__).parents[2] / _NAME
    return file.read_text(encoding="utf-8")


def schema_file() -> Path | None:
    """Return the schema's file: of an installed wheel, else of the checkout; None without one."""
    is_installed = _installed().is_file()
    folder = (
        Path(sys.prefix, "share", "rotator") if is_installed else Path(__file__).parents[2] / "docs"
    )
    return file if (file := folder / _SCHEMA).is_file() else None


def _location(file: Path) -> str:
    """Return a file as a directive names it; "" for one that it cannot name.

    An editor takes a path up to a space, and reads `#`, `?` and `%` as in a URL, in which it does
    not find a percent sign that was escaped.
    """
    path = str(file)
    if not path.isprintable() or "%" in path:
        return ""
    return file.as_uri() if re.search("[ #?]", path) else path


def _installed() -> Path:
    return Path(str(resources.files("rotator"))) / _NAME


@cache
def keys() -> dict[tuple[str, str], ExampleKey]:
    """Return the keys of the example by table and name, those in comments included."""
    found: dict[tuple[str, str], ExampleKey] = {}
    table, comment = "", [""]
    for line in example().splitlines():
        if header := re.fullmatch(r"#?\[+([a-z.]+)\]+", line):
            table, comment = header[1], []
        elif key := re.match(r"#?(([a-z_]+) = .*)", line):
            value = tomllib.loads(key[1])[key[2]]
            known = ExampleKey(meaning=" ".join(comment), value=value)
            found.setdefault((table, key[2]), known)
            comment = []
        elif line.startswith("# "):
            comment.append(line.removeprefix("# "))
        else:
            comment = []
    return found


def filled_in(environ: Mapping[str, str]) -> tuple[str, list[str]]:
    """Return the example with Vault's settings from the environment, and the variables used.

    Its first line names the schema to an editor, if there is a file of it.

    A variable with an invalid value is ignored: `config check` reports it if it is still set, and
    an address may contain what must not be in a file.
    """
    text, used = re.sub(f"^{_DIRECTIVE}.*\n\n", "", example()), []
    if (file := schema_file()) and (location := _location(file)):
        text = f"{_DIRECTIVE}{location}\n\n{text}"
    for variable, key, check in (
        ("VAULT_ADDR", "address", urls.web_url),
        ("VAULT_NAMESPACE", "namespace", types.namespace),
    ):
        try:
            value = check(environ.get(variable, ""))
        except InvalidValue:
            continue
        if value:
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            before, after = re.split(f"^{key} = .*$", text, maxsplit=1, flags=re.MULTILINE)
            text = before + line + after
            used.append(variable)
    return text, used
