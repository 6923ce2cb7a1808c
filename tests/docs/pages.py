"""The project's pages of text: their code, tables, headings and links."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT) for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text_of(page: Path | str) -> str:
    return (ROOT / page).read_text()


def section(page: Path | str, heading: str) -> str:
    """The text under a heading of the second level, up to the next of that level."""
    [_, text] = re.split(rf"^## {re.escape(heading)}$", text_of(page), flags=re.MULTILINE)
    return re.split(r"^## ", text, flags=re.MULTILINE)[0]


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def code_spans(text: str) -> set[str]:
    """What stands between backticks, blocks of code left out."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)))


def tables(text: str) -> list[list[list[str]]]:
    """The tables, each as its rows of cells, the header first."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block.splitlines()]
        found.append([rows[0], *rows[2:]])
    return found


def table_with(text: str, *header: str) -> list[dict[str, str]]:
    """The rows of the one table whose header begins so, by column."""
    [rows] = [rows for rows in tables(text) if tuple(rows[0][: len(header)]) == header]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def links(text: str) -> list[str]:
    """The targets of links to files of the project."""
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:|#", target)]
