"""Writes the manual page: `python -m docs.manual` writes rotator.1 from what `--help` knows.

The exit codes, which no command's help has, are those of commands.md.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rotator.cli.app import command_of
from rotator.cli.context import DEFAULT_CONFIG

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "rotator.1"

_FILES = {
    str(DEFAULT_CONFIG): "the configuration; `rotator init` writes one that explains every key",
    "/var/lib/rotator/ledger.db": "the ledger, unless the configuration names another",
}
_ENVIRONMENT = {
    "ROTATOR_CONFIG": f"the configuration, instead of {DEFAULT_CONFIG}",
    "ROTATOR_TABLE__KEY": "a scalar of the configuration: ROTATOR_LEDGER__URL for ledger.url",
    "CREDENTIALS_DIRECTORY": "expanded in the paths of files that hold secrets; where it is not "
    "set, the folder of the configuration stands for it",
    "VAULT_ADDR": "the address of Vault, where the configuration has none; in the same way "
    "VAULT_NAMESPACE, VAULT_CACERT and VAULT_TOKEN",
}


def page() -> str:
    """Return the manual page as roff."""
    program = command_of("rotator")
    commands = [*_commands(program, "rotator")]
    name, _, purpose = _plain(program.help).rstrip(".").partition(": ")
    return "\n".join(
        [
            '.\\" Written by `make docs` from what --help knows.',
            '.TH ROTATOR 1 "" "rotator" "User Commands"',
            ".SH NAME",
            f"rotator, rotate\\-now \\- {_text(name[:1].lower() + name[1:])}",
            ".SH SYNOPSIS",
            *_usage("rotator", program),
            ".PP",
            *_usage("rotate-now", command_of("rotate-now")),
            ".SH DESCRIPTION",
            _text(f"{purpose[:1].upper()}{purpose[1:]}: this is how rotator changes a secret."),
            "Every step is recorded before it starts. A process that was killed goes on from what",
            "it finds.",
            ".PP",
            ".B rotate\\-now",
            "is",
            ".B rotator rotate\\-now",
            "by itself.",
            ".SH OPTIONS",
            *_parameters(program),
            ".SH COMMANDS",
            *(line for path, command in commands for line in _section(path, command)),
            ".SH EXIT STATUS",
            *_list(_exit_codes()),
            ".SH ENVIRONMENT",
            *_list(_ENVIRONMENT),
            ".SH FILES",
            *_list(_FILES),
            ".SH EXAMPLES",
            *_examples(program.epilog),
            "",
        ]
    )


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401  # typer has no public name for it
    """Yield each command that does something, with its path, in the order of the help."""
    for name, below in command.commands.items():
        if hasattr(below, "commands"):
            yield from _commands(below, f"{path} {name}")
        else:
            yield f"{path} {name}", below


def _section(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401  # likewise
    yield f".SS {_quoted(path)}"
    yield from _usage(path, command)
    for paragraph in command.help.split("\n\n"):
        yield ".PP"
        yield _text(paragraph)
    yield from _parameters(command)
    yield ".PP"
    yield from _examples(command.epilog)


def _usage(path: str, command: Any) -> Iterator[str]:  # noqa: ANN401  # likewise
    """Yield a usage line: the path bold, what varies in italics."""
    context = command.make_context(path, [], resilient_parsing=True)
    yield f".B {_quoted(path)}"
    for piece in command.collect_usage_pieces(context):
        yield _text(re.sub(r"[A-Z]+", r"\\fI\g<0>\\fP", piece.strip("{}")))


def _parameters(command: Any) -> Iterator[str]:  # noqa: ANN401  # likewise
    """Yield arguments and options with what they mean."""
    context = command.make_context("rotator", [], resilient_parsing=True)
    rows = {}
    for parameter in command.params:
        name, meaning = parameter.get_help_record(context)
        if parameter.param_type_name == "argument":
            name = parameter.metavar
        rows[name] = _plain(meaning)
    yield from _list(rows)


def _list(rows: dict[str, str]) -> Iterator[str]:
    for name, meaning in rows.items():
        yield ".TP"
        yield f".B {_quoted(name)}"
        yield _text(meaning)


def _examples(epilog: str) -> Iterator[str]:
    yield ".EX"
    yield from (_literal(line) for line in epilog.splitlines()[1:])
    yield ".EE"


def _exit_codes() -> dict[str, str]:
    commands = (ROOT / "docs" / "commands.md").read_text()
    listed = re.search(r"^Exit codes: (.*?)\.", commands, re.MULTILINE)
    return dict(part.split(" ", 1) for part in listed[1].split(", ")) if listed else {}


def _plain(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    r"""Return a line of text, in which `this` becomes bold; \f of our own stays."""
    escaped = re.sub(r"\\(?!f[IP])", r"\\e", text).replace("-", "\\-")
    bold = re.sub(r"`([^`]*)`", r"\\fB\1\\fP", escaped)
    return f"\\&{bold}" if bold[:1] in (".", "'") else bold


def _literal(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq")


def _quoted(text: str) -> str:
    return '"' + _literal(text).replace('"', "\\(dq") + '"'


if __name__ == "__main__":
    PAGE.write_text(page())
