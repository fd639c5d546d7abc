"""The configuration's JSON Schema, by which editors complete and check the file.

It judges what stands in the file, by itself. Outside of lists it requires no key: a variable may
set that. It refuses nothing that is valid; what needs arithmetic, other tables or this machine is
left to `rotator config check`.
"""

from datetime import datetime
from typing import Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from rotator.config import example
from rotator.config.accounts import DEFAULT_POLICY, PolicyTable
from rotator.config.hooks import NO_ALERTS
from rotator.config.sections import AUTH_METHODS
from rotator.config.settings import shown_value
from rotator.config.types import Table, fields_of
from rotator.config.validation import EXCLUSIVE, LISTS, TABLES
from rotator.errors import first_line_of
from rotator.model.notification import Event, WebhookFormat

#: Taplo knows no later draft.
_DRAFT = "http://json-schema.org/draft-07/schema#"

Schema = dict[str, Any]


class _Generator(GenerateJsonSchema):
    """Pydantic's schemas, without what TOML lacks."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Return the schema of a value that is there: TOML has no null."""
        return self.generate_inner(schema["schema"])


def schema() -> Schema:
    """Return the schema of the whole file."""
    tables = {path: _table(path, model) for path, model in TABLES.items()}
    tables["vault"]["properties"]["auth"] = tables.pop("vault.auth")
    tables["ledger"]["properties"]["witness"] = tables.pop("ledger.witness")
    lists: Schema = {name: {"type": "array", "items": tables[name]} for name in LISTS}
    lists["accounts"]["minItems"] = 1
    return {
        "$schema": _DRAFT,
        "title": "rotator's configuration",
        "type": "object",
        "properties": tables | lists,
        "required": ["accounts"],
        "additionalProperties": False,
    }


def _table(path: str, model: type[Table]) -> Schema:
    generated = model.model_json_schema(schema_generator=_Generator)
    found = {
        "description": first_line_of(model),
        "type": "object",
        "properties": {
            key: _key(path, key, field, generated)
            for key, field in fields_of(model).items()
            if f"{path}.{key}" not in TABLES
        },
        "required": generated.get("required", []) if path in LISTS else [],
        "dependencies": _dependencies(path),
    }
    return {name: rule for name, rule in found.items() if rule} | {"additionalProperties": False}


def _key(path: str, key: str, field: FieldInfo, generated: Schema) -> Schema:
    """Return the schema of a key, with its meaning, and its default or an example."""
    found = generated["properties"][key]
    if reference := found.get("$ref"):
        # In place: taplo shows nothing that stands beside a reference.
        found = generated["$defs"][reference.rpartition("/")[2]]
    rules = {name: found[name] for name in found if name not in ("title", "default", "description")}
    is_of_policy = issubclass(TABLES[path], PolicyTable) and key in PolicyTable.model_fields
    known = example.keys()["policy" if is_of_policy else path, key]
    given = known.value.isoformat() if isinstance(known.value, datetime) else known.value
    default = default_of(path, key, field)
    if default is not None:
        note = {"default": shown_value(default)}
    else:
        note = {"examples": [given]} if given else {"default": given}
    return {"description": known.meaning, **rules, **note}


def default_of(path: str, key: str, field: FieldInfo) -> object:
    """Return what holds for a table without the key; None for nothing, or for `[policy]`'s."""
    if path == "policy":
        return getattr(DEFAULT_POLICY, key)
    if field.is_required():
        return None
    return field.get_default(call_default_factory=True, validated_data={})


#: Of a text that counts as missing, and of one that does not.
_NONE: Schema = {"maxLength": 0}
_SOME: Schema = {"minLength": 1}


def _where(**keys: Schema) -> Schema:
    """Return the schema of a table whose keys, where they are given, are such."""
    # Without the second, tombi warns of every other key.
    return {"properties": keys, "additionalProperties": True}


def _dependencies(path: str) -> Schema:
    """Return the rules between the keys of a table, by the key that brings each in."""
    if path == "hooks":
        return _HOOKS
    if path == "vault.auth":
        keys = dict.fromkeys(key for pair in AUTH_METHODS.values() for each in pair for key in each)
        return {key: _of_methods(key) for key in keys}
    first, second = EXCLUSIVE.get(path, ("", ""))
    return {first: _where(**{second: _NONE})} if first else {}


def _of_methods(key: str) -> Schema:
    """Return the rule that a key of some methods goes with one of these, if the file names one."""
    owners = [method for method, (must, may) in AUTH_METHODS.items() if key in (*must, *may)]
    # The mount "/" is none, too.
    return {
        "if": _where(**{key: {"pattern": "[^/]"}}),
        "then": _where(method={"enum": owners}),
    }


_TARGETS = ("command", "url", "url_file")
_ALERTS: Schema = {"const": WebhookFormat.PAGERDUTY.value}
_PLAIN: Schema = {"const": WebhookFormat.JSON.value}

#: What `rotator.config.hooks` says of a hook's keys. The events are always there.
_HOOKS: Schema = {
    "on": {
        "if": {"not": _where(format=_ALERTS) | {"required": ["format"]}},
        "then": {"anyOf": [{"required": [target]} for target in _TARGETS]},
    },
    "command": _where(url=_NONE, url_file=_NONE, secret_file=_NONE, format=_PLAIN),
    "url": _where(url_file=_NONE),
    "routing_key_file": {
        "if": _where(routing_key_file=_SOME),
        "then": _where(format=_ALERTS) | {"required": ["format"]},
    },
    "format": {
        "allOf": [
            {
                "if": _where(format=_ALERTS),
                "then": _where(
                    routing_key_file=_SOME,
                    on={"items": {"not": {"enum": sorted(NO_ALERTS)}}},
                )
                | {"required": ["routing_key_file"]},
            },
            {
                "if": _where(on={"contains": {"const": Event.GATE.value}}),
                "then": _where(format=_PLAIN),
            },
        ]
    },
}
