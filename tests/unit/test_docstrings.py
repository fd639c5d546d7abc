import pytest

from rotator import errors
from rotator.cli.commands import report
from rotator.errors import docstring_of, first_line_of


class Bare(errors.StoreSealed):  # noqa: D101  # it is about its having none
    pass


def test_what_was_dropped_is_read_from_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Python keeps no docstrings, messages and help are the same."""
    kept = docstring_of(report.report), str(errors.StoreSealed()), str(Bare())
    for each in (report.report, errors.StoreSealed):
        monkeypatch.setattr(each, "__doc__", None)

    assert (docstring_of(report.report), str(errors.StoreSealed()), str(Bare())) == kept
    assert kept[1:] == ("Vault is sealed", "Vault is sealed")


def test_without_a_source_an_error_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing but bytecode is there, the class's name is better than nothing."""
    monkeypatch.setattr(errors, "_written", lambda _module: {})
    for each in errors.StoreSealed.__mro__[:-1]:
        if each.__module__ == "rotator.errors":
            monkeypatch.setattr(each, "__doc__", None)

    assert docstring_of(errors.StoreSealed) == ""
    assert first_line_of(errors.StoreSealed) == "StoreSealed"


def test_what_has_no_source_has_no_docstring() -> None:
    """Such as what is built in."""
    assert errors._written("builtins") == {}
    assert errors._written("no such module") == {}
