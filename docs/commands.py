"""Writes what each command answers: `python -m docs.commands` writes the end of commands.md.

The page is the transcripts that the tests hold true, in the order of their names.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "commands.md"
TRANSCRIPTS = ROOT / "tests" / "transcripts"
MARK = "<!-- transcripts: written by `python -m docs.commands` -->"


def page(text: str) -> str:
    """Return the page anew: its transcripts; what stands above them stays as it is."""
    sections = [_section(file.read_text()) for file in sorted(TRANSCRIPTS.glob("*.txt"))]
    above, mark, _ = text.partition(MARK)
    return "\n".join([f"{above}{mark}\n", *sections])


def _section(transcript: str) -> str:
    """Return a transcript with its title as a heading and its notes between blocks."""
    title, _, rest = transcript.partition("\n")
    parts = [f"## {title.removeprefix('# ')}\n"]
    for part in re.split(r"\n(?=# )", rest):
        note, _, shown = (
            part.strip("\n").partition("\n") if part.startswith("# ") else ("", "", part)
        )
        if note:
            parts.append(f"{note.removeprefix('# ')}\n")
        if shown.strip():
            parts.append(f"```console\n{shown.strip()}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
