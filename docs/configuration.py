"""Writes the configuration reference: `python -m docs.configuration` writes configuration.md.

Keys, kinds and defaults are those of the settings model; what a key means is said once, in
`config.example.toml`, from which this takes it. config.schema.json is the same for editors.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from rotator.config import example
from rotator.config.loader import overrides
from rotator.config.schema import default_of, schema
from rotator.config.types import fields_of
from rotator.config.validation import LISTS, TABLES
from rotator.model.times import format_duration

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "configuration.md"
#: Whose policy a table of each kind sets.
_OWN_POLICY = {"accounts": "this account", "discover": "these subaccounts"}
SCHEMA = ROOT / "docs" / "config.schema.json"


def page(text: str) -> str:
    """Return the page anew: its tables; the introduction above them stays as it is."""
    variables = {path: name for name, path in overrides().items()}
    explained = example.keys()
    parts = [text.partition("\n## `")[0].rstrip() + "\n"]
    for table, model in TABLES.items():
        title = f"[[{table}]]" if table in LISTS else f"[{table}]"
        parts.append(f"## `{title}`\n")
        if table in _OWN_POLICY:
            whose = _OWN_POLICY[table]
            parts.append(f"Any key of `[policy]` can also be set here, for {whose} alone.\n")
        parts.append("| key | kind | default | meaning |\n|---|---|---|---|")
        for key, field in fields_of(model).items():
            is_of_policy = table in _OWN_POLICY and key in TABLES["policy"].model_fields
            if is_of_policy or f"{table}.{key}" in TABLES:
                continue
            variable = variables.get((table, key))
            meaning = explained[table, key].meaning
            named = f"{meaning} `${variable}`" if variable else meaning
            cells = (f"`{key}`", _kind(field), _default(table, key, field), named)
            parts.append(f"| {' | '.join(map(_cell, cells))} |")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def schema_text() -> str:
    """Return the schema as `rotator config schema` prints it."""
    return json.dumps(schema(), indent=2) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("<", "&lt;")


def _kind(field: FieldInfo) -> str:
    kinds = list(dict.fromkeys(_kinds(field.annotation)))
    return " or ".join(kinds)


def _kinds(annotation: Any) -> Iterator[str]:  # noqa: ANN401  # whatever a field is typed as
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _kinds(get_args(annotation)[0])
    elif origin in (Union, UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif origin is Literal:
        yield from (f'`"{value}"`' for value in get_args(annotation))
    elif origin is not None:
        yield "list"
    elif annotation is not type(None):
        yield _NAMES.get(annotation) or _named(annotation)


_NAMES: dict[Any, str] = {
    bool: "true or false",
    float: "number",
    Decimal: "number",
    int: "number",
    str: "text",
    timedelta: "duration",
    Path: "path",
    datetime: "date-time",
}


def _named(annotation: type) -> str:
    return "text" if issubclass(annotation, Enum) else "table"


def _default(table: str, key: str, field: FieldInfo) -> str:
    return "required" if field.is_required() else _text(default_of(table, key, field))


def _text(value: object) -> str:
    match value:
        case timedelta():
            return f"`{format_duration(value)}`"
        case bool():
            return f"`{str(value).lower()}`"
        case Enum():
            return f"`{value.value}`"
        case "":
            return '`""`'
        case str() | int() | float():
            return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
        case _:
            return ""


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
    SCHEMA.write_text(schema_text())
