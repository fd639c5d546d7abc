"""The page of rules and the track record: each name on them exists, and no part is left out."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from docs import invariants
from rotator.cli.app import command_of
from rotator.model import State
from rotator.model.notification import Event
from tests.mutants.patches import read_all

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RULES_PAGE, RECORD = (DOCS / f"{name}.md" for name in ("invariants", "track-record"))
PAGES = (RULES_PAGE, RECORD)
MUTANTS = read_all()
#: Headers of the tables that each rule has, in their order.
PARTS = ("kept by", "checked at run time", "tested in")
#: In backticks on these pages, and a name of another program's.
OTHERS = frozenset(
    {
        ".venv/bin/pytest",
        "AssertionError",
        "Date",
        "DateStyle",
        "PYTHONOPTIMIZE",
        "default",
        "delete_version_after",
        "http_proxy",
        "sh",
        "synchronous_commit",
        "systemctl",
        "token_num_uses",
    }
)
#: Where metrics are named.
METRICS = ("reporting/gauges.py", "telemetry/metrics.py")


def read(page: Path) -> str:
    """Return a page without its generated blocks, which have a test of their own."""
    return re.sub(
        r"<!-- mutants of .*?<!-- end of mutants -->", "", page.read_text(), flags=re.DOTALL
    )


def quoted(text: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", text)


def section(page: str, title: str) -> str:
    """Return a section of a page."""
    return page.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def rows(text: str, header: str) -> list[list[str]]:
    """Return the cells of the rows below a header whose first cell is `header`."""
    table = re.search(rf"^\| {header} \|.*\n\|[-|: ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [line.strip("| ").split(" | ") for line in table[1].splitlines()] if table else []


# -- Names. --------------------------------------------------------------------------------


@cache
def parsed(path: Path) -> ast.Module:
    """Return a module's syntax tree."""
    return ast.parse(path.read_text())


def members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Return what a body defines, by name: functions, classes, variables and fields."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def inherited(node: ast.ClassDef, module: ast.Module) -> dict[str, ast.stmt]:
    """Return what a class defines, and what its bases in the same module do."""
    known = members(module.body)
    bases = (known.get(base.id) for base in node.bases if isinstance(base, ast.Name))
    found: dict[str, ast.stmt] = {}
    for base in bases:
        found |= inherited(base, module) if isinstance(base, ast.ClassDef) else {}
    return found | members(node.body)


def defines(path: Path, symbol: str) -> bool:
    """Return whether a module defines a symbol, such as `Pass._loop` or `TestRefused::test_it`."""
    module = parsed(path)
    known = members(module.body)
    for name in re.split(r"::|\.", symbol):
        node = known.get(name)
        if node is None:
            return False
        known = inherited(node, module) if isinstance(node, ast.ClassDef) else {}
    return True


def has_case(path: Path, case: str) -> bool:
    """Return whether a text of the tests in a folder is the id of a parametrised test's case."""
    texts = (
        node.value
        for file in (path, *path.parent.glob("scenarios.py"))
        for node in ast.walk(parsed(file))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    return case in texts


def is_place(name: str) -> bool:
    """Return whether a name is a file or folder, or what one defines, or a case of a test."""
    path, _, symbol = name.partition("::")
    symbol, _, case = symbol.partition("[")
    bases = (ROOT, ROOT / "rotator")
    found = next((base / path for base in bases if (base / path).exists()), None)
    if found is None or (symbol and not defines(found, symbol)):
        return False
    return not case or has_case(found, case.removesuffix("]"))


def is_command(text: str) -> bool:
    """Return whether a text is a command of rotator's or a target of make, with options it has."""
    program, *words = text.split()
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return words[0] in targets
    if program not in ("rotator", "rotate-now"):
        return False
    command: Any = command_of(program)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {option for each in command.params for option in each.opts}
    if hasattr(command, "commands") and words:
        return False
    return all(word in options or not word.startswith("-") for word in words)


@cache
def vocabulary() -> frozenset[str]:
    """Return the words with a meaning: keys, codes, options, metrics, states, events, mutants."""
    errors, keys = ((DOCS / f"{name}.md").read_text() for name in ("errors", "configuration"))
    metrics = "".join((ROOT / "rotator" / name).read_text() for name in METRICS)
    commands = (ROOT / "docs" / "commands.md").read_text()
    found = {each.value for each in (*Event, *State)} | {mutant.name for mutant in MUTANTS}
    found |= set(re.findall(r"^\| `([a-z_]+)` \|", keys, re.MULTILINE))
    found |= set(re.findall(r'"(rotator_[a-z_]+)"', metrics))
    found |= set(re.findall(r"^\| `([a-z-]+)` \|", errors, re.MULTILINE))
    return frozenset(found | set(re.findall(r"--[a-z][a-z-]+", commands)) | OTHERS)


def is_known(name: str) -> bool:
    """Return whether what stands in backticks exists."""
    first = name.split(maxsplit=1)[0]
    if first in ("make", "rotator", "rotate-now"):
        return is_command(name)
    if "/" in first and first not in OTHERS:
        return is_place(name)
    return re.split("[ =]", name, maxsplit=1)[0] in vocabulary()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_name_on_the_page_exists(page: Path) -> None:
    """Whoever renames or removes something finds it here."""
    names = quoted(read(page))

    assert len(names) > 100
    assert [name for name in names if not is_known(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "rotation/passes.py::Pass._lop",
        "rotation/no.py",
        "tests/unit/test_invariants.py::test_that_is_not",
        "tests/model_checking/test_model_checking.py::test_every_rule_holds_in_every_state[none]",
        "rotator nothing",
        "rotator status --nothing",
        "make nothing",
        "rotator_nothing_total",
        "no-such-code",
    ],
)
def test_a_name_that_is_wrong_is_found(name: str) -> None:
    """Else the test above would prove nothing."""
    assert not is_known(name)


# -- The rules. ----------------------------------------------------------------------------


def rules() -> Iterator[tuple[int, str]]:
    """Yield each rule's number and its section on the page."""
    page = read(RULES_PAGE)
    for number in invariants.RULES:
        yield number, section(page, f"Rule {number}")


def test_each_rule_is_worded_as_in_concepts() -> None:
    """There is one wording; these pages cannot drift apart."""
    concepts = section((DOCS / "concepts.md").read_text(), "The rules")
    worded = re.findall(r"^(\d)\. (.*)$", concepts, re.MULTILINE)

    assert [
        (str(number), re.findall(r"^> (.*)$", text, re.MULTILINE)) for number, text in rules()
    ] == [(number, [text]) for number, text in worded]


def test_each_rule_has_every_part() -> None:
    """What it means, the code, the checks, the tests, the mutants."""
    page = RULES_PAGE.read_text()
    for number, text in rules():
        assert re.search(r"^\*\*Precisely\.\*\* ", text, re.MULTILINE), number
        for part in PARTS:
            assert len(rows(text, part)) >= 3, (number, part)
            assert all(all(cells) for cells in rows(text, part)), (number, part)
        assert page.count(f"<!-- mutants of rule {number}: ") == 1


def test_the_mutants_on_the_page_are_those_of_the_tests() -> None:
    """Who adds a mutant writes the page anew: make docs."""
    text = RULES_PAGE.read_text()
    named = set(re.findall(r"\.\./tests/mutants/(.+?)\.patch", text))
    of_rules = {mutant.name for mutant in MUTANTS if mutant.rule != "-"}

    assert invariants.page(text) == text
    assert named == of_rules


def test_the_mutants_of_a_rule_are_lists_that_can_be_read() -> None:
    """One name on a line, and closed until somebody opens the tier's."""
    text = RULES_PAGE.read_text()
    found = re.findall(r"<!-- mutants of .*?-->\n(.*?)<!-- end of", text, re.DOTALL)

    assert len(found) == len(invariants.RULES)
    for block in found:
        assert block.count("\n<details>\n<summary>") == block.count("\n\n</details>\n") >= 1
        lines = re.sub(r"</?details>\n|<summary>.+: \d+ mutants?</summary>\n", "", block)
        assert re.fullmatch(r"(\n|- \[`[a-z0-9-]+`\]\(\S+\)\n)+", lines), lines


# -- The tiers. ----------------------------------------------------------------------------


def tiers() -> dict[str, list[str]]:
    """Return where each tier's tests are, as the page on reliability has it."""
    text = section((DOCS / "reliability.md").read_text(), "Tiers")
    return {tier: quoted(where) for tier, where, _ in rows(text, "tier")}


def test_each_test_is_named_in_its_tier() -> None:
    """A tier is one of the page on reliability, and has the test."""
    known = tiers()
    assert len(known) > 10
    assert all(is_place(where) for places in known.values() for where in places)
    for number, text in rules():
        for tier, test, _ in rows(text, "tested in"):
            for name in quoted(test):
                assert name.startswith(tuple(known[tier])), (number, tier, name)


def test_each_tier_watches_a_rule_or_has_found_something() -> None:
    """What is in neither page's tables would be a tier for nothing."""
    named = {tier for _, text in rules() for tier, *_ in rows(text, "tested in")}
    named |= {heading.lower() for heading in re.findall(r"^## (.*)$", read(RECORD), re.MULTILINE)}

    assert {tier.lower() for tier in tiers()} - {name.lower() for name in named} == set()


def test_each_mutant_is_of_a_tier() -> None:
    """Those of the patches are those of the page."""
    assert {mutant.tier.value for mutant in MUTANTS} <= tiers().keys()


# -- The track record. ---------------------------------------------------------------------


def test_each_fault_has_a_test_that_guards_it() -> None:
    """What happened, what comes of it without the mend, and what shows it."""
    found = rows_of_record()

    assert len(found) >= 80
    for fault, without, guard in found:
        assert len(fault) > 10, fault
        assert len(without) > 5, fault
        names = [name for name in quoted(guard) if name.startswith("tests/")]
        assert names, fault
        assert all("::" in name for name in names), fault


def rows_of_record() -> list[list[str]]:
    """Return the rows of the track record's tables."""
    tables = re.findall(r"^\| fault \|.*\n\|[-|]+\n((?:\|.*\n)+)", read(RECORD), re.MULTILINE)
    return [line.strip("| ").split(" | ") for table in tables for line in table.splitlines()]


def test_the_counts_are_those_of_the_tables() -> None:
    """The summary says how many each tier has found."""
    page = read(RECORD)
    counted = {tier: int(count) for tier, count in rows(page, "found by")}
    titles = re.findall(r"^## (.*)$", page, re.MULTILINE)
    there = {title: len(rows(section(page, title), "fault")) for title in titles}

    assert counted == {title: count for title, count in there.items() if count}


# -- Effects. ------------------------------------------------------------------------------

#: What sends an effect: its intent is committed by `LedgerSession.perform`.
SENDERS = (
    "rotation/steps/",
    "rotation/manual.py",
    "rotation/adoption.py",
    "cli/commands/secrets.py",
    "cli/commands/account.py",
)


def effects() -> set[str]:
    """Return the methods of the clients that change something: they make a last look."""
    found: set[str] = set()
    for name in ("vonage/secrets.py", "vonage/accounts.py", "vault/store.py"):
        for node in ast.walk(parsed(ROOT / "rotator" / name)):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                arguments = [each.arg for each in (*node.args.args, *node.args.kwonlyargs)]
                found |= {node.name} if "before_send" in arguments else set()
    return found


def calls(path: Path, names: set[str]) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls of methods of these names in a module."""
    if not any(f".{name}(" in path.read_text() for name in names):
        return
    for node in ast.walk(parsed(path)):
        name = getattr(node.func, "attr", "") if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name in names:
            yield name, node


def test_every_effect_goes_through_the_ledger() -> None:
    """No other module sends one, and none is sent without a last look."""
    names, seen = effects(), set[str]()
    for path in sorted((ROOT / "rotator").rglob("*.py")):
        place = str(path.relative_to(ROOT / "rotator"))
        for name, call in calls(path, names):
            seen.add(name)

            assert place.startswith(SENDERS), f"{place}:{call.lineno} calls {name}"
            assert "before_send" in {each.arg for each in call.keywords}, f"{place}:{call.lineno}"
    assert seen == names
    assert len(names) >= 8


def test_what_a_client_sends_without_a_last_look_only_reads() -> None:
    """Each request to Vonage that changes something takes one; so does each write to an entry."""
    for name in ("vonage/secrets.py", "vonage/accounts.py", "vault/kv.py"):
        for node in ast.walk(parsed(ROOT / "rotator" / name)):
            if not isinstance(node, ast.FunctionDef):
                continue
            source = ast.unparse(node)
            changes = re.search(r"'(POST|PUT|PATCH|DELETE)'|repeatable=False", source)

            assert not changes or "before_send" in source, f"{name}: {node.name}"
