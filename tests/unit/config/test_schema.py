"""The schema that editors have: whole, explained, and of one mind with `config check`.

Every test of this folder that loads a configuration, or sees one refused, asks the schema as well:
see `load_judged`.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from rotator.config import example, load
from rotator.config.schema import schema
from rotator.config.types import fields_of
from rotator.config.validation import LISTS, TABLES
from rotator.errors import ConfigError
from tests.acceptance.test_cli_bad_input import CONFIGURATIONS
from tests.support.editor import ONLY_CONFIG_CHECK, ROOT, SCHEMA, lint, load_judged, objections
from tests.unit.config.file import SMS, VAULT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "ops").rglob("*.md")]
BLOCK = re.compile(r"^ *```toml\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def subschemas(found: object) -> Iterator[dict[str, Any]]:
    """Yield a schema and all within it."""
    if isinstance(found, dict):
        yield found
    for inner in found.values() if isinstance(found, dict) else found:  # type: ignore[attr-defined]
        if isinstance(inner, dict | list):
            yield from subschemas(inner)


def table(path: str) -> dict[str, Any]:
    """Return the schema of a table."""
    found = SCHEMA
    for name in path.split("."):
        found = found["properties"][name]
    return found["items"] if path in LISTS else found


def test_schema_is_one() -> None:
    """It is valid by the schema of its draft, and needs nothing from elsewhere."""
    Draft7Validator.check_schema(SCHEMA)

    assert not any("$ref" in each for each in subschemas(SCHEMA))


@pytest.mark.parametrize("path", TABLES)
def test_every_key_is_explained(path: str) -> None:
    """Each table has its keys and no others, each with its meaning, and a default or an example."""
    found = table(path)

    assert list(found["properties"]) == list(fields_of(TABLES[path]))
    assert found["additionalProperties"] is False
    for key in found["properties"].values():
        assert len(key["description"]) > 10
        assert key["type" if "type" in key else "anyOf"]
        assert "title" not in key
        assert "default" in key or "examples" in key or "properties" in key


def test_defaults_are_those_of_the_settings() -> None:
    """A default is written as in the file; a required key, or one that inherits, has none."""
    assert table("vault")["properties"]["timeout"]["default"] == "10s"
    assert table("policy")["properties"]["length"]["default"] == 25
    assert table("ledger")["properties"]["url"]["default"] == "sqlite:////var/lib/rotator/ledger.db"
    assert table("discover")["properties"]["include"]["default"] == ["*"]
    assert table("accounts")["properties"]["name"]["examples"] == ["sms-prod"]
    assert "default" not in table("accounts")["properties"]["every"]
    assert table("freeze")["properties"]["from"]["examples"] == ["2026-12-18T18:00:00+01:00"]


def test_patterns_mean_the_same_to_every_editor() -> None:
    """They have nothing that Rust's or JavaScript's expressions lack, or read otherwise."""
    patterns = [each["pattern"] for each in subschemas(schema()) if "pattern" in each]
    patterns = [pattern for pattern in patterns if isinstance(pattern, str)]

    assert len(patterns) > 50
    assert [each for each in patterns if re.search(r"\(\?[^:]|\\[ABZbdwGpu]", each)] == []


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_what_the_command_refuses_the_schema_refuses(tmp_path: Path, kind: str) -> None:
    """The bad configurations of the command line are bad in an editor, too."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATIONS[kind][0])

    with pytest.raises(ConfigError):
        load_judged(path, {})


def test_a_method_that_a_variable_names_is_not_required(tmp_path: Path) -> None:
    """Its keys are right without it, as far as the file shows; beside another one, they are not."""
    path = tmp_path / "config.toml"
    path.write_text(f'{VAULT}[vault.auth]\nrole = "rotator"\n{SMS}')
    load(path, {"ROTATOR_VAULT__AUTH__METHOD": "kubernetes"})
    tables = tomllib.loads(path.read_text())
    unnamed = objections(tables)
    tables["vault"]["auth"]["method"] = "token"

    assert unnamed == []
    assert objections(tables)


@pytest.mark.parametrize("words", ONLY_CONFIG_CHECK)
def test_what_only_config_check_can_see_is_tested(words: str) -> None:
    """An exception that no test needs is none."""
    files = [
        *Path(__file__).parent.glob("test_*.py"),
        ROOT / "tests/acceptance/test_cli_bad_input.py",
    ]

    assert any(words in file.read_text() for file in files if file != Path(__file__))


def test_configurations_of_documentation_and_packages_are_accepted() -> None:
    """Each has only what the schema knows, beside the account that it may lack."""
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text())]
    blocks += [file.read_text() for file in (ROOT / "ops").rglob("*.toml")]
    account = tomllib.loads(SMS)
    judged = {block: objections(account | tomllib.loads(block)) for block in blocks}

    assert len(blocks) > 10
    assert {block: found for block, found in judged.items() if found} == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ""),
        ('[vualt]\naddress = ""', "'vualt' was unexpected"),
        ('[daemon]\npoll = "soon"', '"soon" does not match'),
        ("[policy]\nlength = 40", "40 is greater than the maximum of 25"),
        ('[policy]\nevery = "7d"\ncron = "0 3 * * *"', "is longer than 0 characters"),
        ('[vault.auth]\nmethod = "token"\nrole = "r"', '"token" is not one of'),
        (
            "[[freeze]]\nfrom = 2026-12-18T18:00:00+01:00\nto = 2026-12-19T18:00:00Z\nreason = 'x'",
            "",
        ),
        (
            "[[freeze]]\nfrom = 2026-12-18T18:00:00\nto = 2026-12-19T18:00:00Z\nreason = 'x'",
            "anyOf",
        ),
        ('[[hooks]]\non = ["pushed"]\ncommand = ["reload"]', '"reload" does not match'),
    ],
)
def test_taplo_judges_by_it(tmp_path: Path, line: str, words: str) -> None:
    """The schema works in the linter behind the editors, with TOML's own dates."""
    path = tmp_path / "config.toml"
    text = VAULT + SMS if "[vault" not in line else SMS
    path.write_text(f"#:schema {ROOT}/docs/config.schema.json\n\n{text}{line}\n")
    done = lint(path)

    assert (done.returncode, words in done.stderr) == (1 if words else 0, True), done


def test_taplo_accepts_the_example() -> None:
    """The checkout's example leads to the schema by itself."""
    done = lint(ROOT / "config.example.toml")

    assert done.returncode == 0, done


def test_a_new_configuration_leads_to_the_installed_schema(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is below `share`; the line is left out where there is none, and never the checkout's."""
    checkout, _ = example.filled_in({})
    package, share = tmp_path / "package", tmp_path / "prefix" / "share" / "rotator"
    package.mkdir()
    share.mkdir(parents=True)
    (package / "config.example.toml").write_text(example.example())
    monkeypatch.setattr("rotator.config.example.resources.files", lambda _: package)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    without, _ = example.filled_in({})
    (share / "config.schema.json").write_text(json.dumps(SCHEMA))
    installed, _ = example.filled_in({})

    assert checkout.startswith(f"#:schema {ROOT}/docs/config.schema.json\n\n# rotator's")
    assert without.startswith("# rotator's")
    assert installed == f"#:schema {share}/config.schema.json\n\n{without}"


@pytest.mark.parametrize(
    "folder", ["plain", "with space", "é", "a#b", "a?b", "it's", "100%", "a%20b", "new\nline"]
)
def test_an_editor_finds_the_schema_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """The first line names each path so that it is found, or is left out."""
    schema_file, path = tmp_path / folder / "config.schema.json", tmp_path / "config.toml"
    schema_file.parent.mkdir()
    schema_file.write_text(json.dumps(SCHEMA))
    monkeypatch.setattr(example, "schema_file", lambda: schema_file)
    text, _ = example.filled_in({})
    path.write_text(f"{text}[vualt]\n")
    done = lint(path)

    assert text.startswith("#:schema ") == ("%" not in folder and folder.isprintable())
    assert ("'vualt' was unexpected" in done.stderr) == text.startswith("#:schema "), done
    assert "failed to load" not in done.stderr
