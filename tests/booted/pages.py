"""The pages whose commands are tried, cut into sections and blocks."""

import re

from tests.support.commands import ROOT

README = (ROOT / "README.md").read_text()
INSTALL = (ROOT / "docs" / "install.md").read_text()
SERVICE = (ROOT / "docs" / "service.md").read_text()
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
WITNESS = (ROOT / "docs" / "witness.md").read_text()
KIT = (ROOT / "ops" / "README.md").read_text()


def blocks(page: str, title: str) -> list[tuple[str, str]]:
    """Return the blocks of a section in their order, each with its language."""
    [section] = re.findall(
        rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL
    )
    return re.findall(r"^```(\w*)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def shell(page: str, title: str) -> list[str]:
    """Return the shell blocks of a section."""
    return [text for language, text in blocks(page, title) if language == "sh"]


def other(page: str, title: str, language: str) -> list[str]:
    """Return the blocks of a section in another language."""
    return [text for each, text in blocks(page, title) if each == language]
