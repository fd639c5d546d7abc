"""The schema that editors have objects to nothing that is a configuration."""

import copy
import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from rotator.config import load
from rotator.config.sections import AUTH_METHODS
from rotator.errors import ConfigError
from tests.property.test_config_properties import document, durations, plausible, scalars, texts
from tests.property.test_config_properties import values as any_values
from tests.support.editor import objections, whole_example

ENVIRON = {"CREDENTIALS_DIRECTORY": "/run/credentials", "VAULT_CLIENT_CERT": "c", "HOME": "/root"}
Place = tuple[str | int, ...]
IsTaken = Callable[[dict[str, Any]], bool]

fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
whole = st.sampled_from(list(AUTH_METHODS)).map(whole_example).map(tomllib.loads)
#: What changes the meaning of a URL, path, name, duration, window, cron expression or pattern.
signs = st.sampled_from([*"0179aZsmhd$~/:.,@#?%*-+_=&{}[]\\ \t\n\x7fé", "//", "..", "://", "@"])


@pytest.fixture
def is_taken(tmp_path: Path) -> IsTaken:
    """Return whether a configuration is one that rotator starts with."""

    def loads(tables: dict[str, Any]) -> bool:
        path = tmp_path / "config.toml"
        path.write_text(document(tables), encoding="utf-8")
        try:
            load(path, ENVIRON)
        except ConfigError:
            return False
        return True

    return loads


def places(value: object, *above: str | int) -> Iterator[Place]:
    """Yield the place of every value within another."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield (*above, key)
            yield from places(inner, *above, key)


def at(tables: Any, place: Place) -> Any:  # noqa: ANN401  # whatever TOML has
    """Return the value at a place."""
    for key in place:
        tables = tables[key]
    return tables


@st.composite
def changed_texts(draw: st.DrawFn, text: str) -> str:
    """Draw a text that differs from another in one place."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 2)))
    changed = text[:start] + draw(signs | st.just("")) + text[end:]
    return draw(st.sampled_from([changed, changed, changed.upper(), changed.lower(), f" {text} "]))


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid configuration with one value changed, moved, added or taken away."""
    tables = copy.deepcopy(draw(whole))
    *above, key = draw(st.sampled_from(list(places(tables))))
    parent = at(tables, tuple(above))
    value = parent[key]
    others = [at(tables, place) for place in places(tables)]
    kinds = [durations | plausible | texts | st.integers(-1, 400), scalars, any_values]
    if isinstance(value, str):
        kinds = [changed_texts(value)] * 6 + kinds
    if isinstance(value, list | dict):
        kinds = [st.just(type(value)())]
    match draw(st.sampled_from(["change"] * 7 + ["other", "add", "remove"])):
        case "change":
            parent[key] = draw(st.one_of(kinds))
        case "other":
            parent[key] = copy.deepcopy(draw(st.sampled_from(others)))
        case "remove":
            del parent[key]
        case "add" if isinstance(parent, dict):
            parent[draw(texts)] = draw(scalars)
    return tables


@fuzz
@given(changed())
def test_what_rotator_takes_an_editor_takes(is_taken: IsTaken, tables: dict[str, Any]) -> None:
    """No value that rotator starts with is marked as wrong; what is marked, rotator refuses."""
    tables = tomllib.loads(document(tables))
    found = objections(tables)
    taken = is_taken(tables)
    event(f"taken: {taken}, objections: {bool(found)}")

    assert not (taken and found), json.dumps(found)


@fuzz
@given(whole, st.data())
def test_what_can_be_nothing_is_marked(
    is_taken: IsTaken, tables: dict[str, Any], data: st.DataObject
) -> None:
    """A key that there is not, and a value of another type, are wrong to both."""
    tables = copy.deepcopy(tables)
    keys = [place for place in places(tables) if isinstance(place[-1], str)]
    *above, key = data.draw(st.sampled_from(keys))
    parent = at(tables, tuple(above))
    if data.draw(st.booleans()):
        parent[f"{key}_"] = parent[key]
    else:
        parent[key] = [{}] if isinstance(parent[key], str) else {"x": 1}

    assert objections(tables)
    assert not is_taken(tables)
