"""Rows on the terminal: a table that fits it, or blocks of lines where a row has more than fits; the same rows as JSON.

The heading of a column is its key: what --filter takes and what JSON has. In a terminal, columns that do not fit are
left out, the last first, and it says so; in a pipe nothing is cut and a row is a line. Colours are rich's affair: none
in a pipe, none with NO_COLOR. What a program has named (tasks, actors) may hold anything: control characters are shown
as such, never sent to the terminal.
"""

from __future__ import annotations

import re
import sys
from datetime import datetime

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from rich.console import Console
    from rich.text import Text

MAX_PIPE_COLUMNS = 10_000
KEY_COLUMNS = 4  # the first: rather on several lines than left out
MIN_BREAKABLE = {"name": 12, "class_name": 12, "entrypoint": 12, "program": 20, "state": 16, "reference_type": 12}
GAP = 2
STYLES = {
    "RUNNING": "green",
    "RUNNING_IN_RAY_GET": "green",
    "ALIVE": "green",
    "CREATED": "green",
    "FAILED": "red",
    "DEAD": "red",
}
STATE_KEYS = ("state", "status", "task_status")

format_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON for programs.",
)


def show_json(value: Any) -> None:
    """Print a value as JSON."""
    from json import dumps

    click.echo(dumps(value, indent=2, default=str))


def show_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table. Args: columns: keys, the most important first."""
    click.echo(text_of(rows, columns), color=True)


def show_blocks(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print each row as lines of a key and its value."""
    console = console_for(sys.stdout)
    with console.capture() as captured:
        for i, row in enumerate(rows):
            if i:
                console.print()
            width = max(map(len, row), default=0) + GAP
            for key, value in row.items():
                head = text(key.ljust(width), "bold")
                for line in f"{value}".splitlines() if isinstance(value, str) and value else [value]:
                    console.print(head, cell(key, line), sep="", soft_wrap=True)
                    head = text(" " * width)
    click.echo(captured.get(), nl=False, color=True)


def note(sentence: str) -> None:
    """Print a sentence about the rows, where it is not taken for one of them."""
    click.echo(click.style(sentence, dim=True), err=True)


def text_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, to_stderr: bool = False) -> str:
    """A table as text, with the colours that the stream it is meant for takes."""
    from rich.table import Table

    console = console_for(sys.stderr if to_stderr else sys.stdout)
    cells = {key: [cell(key, row.get(key)) for row in rows] for key in columns}
    widths = fitted({key: max(len(key), *(each.cell_len for each in cells[key])) for key in columns}, console.width)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False)
    for key, width in widths.items():
        values = [row[key] for row in rows if row.get(key) is not None]
        is_number = bool(values) and all(isinstance(value, (int, float)) for value in values)
        table.add_column(key, justify="right" if is_number else "left", width=width, overflow="fold")
    for i in range(len(rows)):
        table.add_row(*(broken(cells[key][i], width) for key, width in widths.items()))
    with console.capture() as captured:
        console.print(table)
        if len(widths) < len(columns):
            n_more = len(columns) - len(widths)
            more = "1 more column does" if n_more == 1 else f"{n_more} more columns do"
            console.print(text(f"{more} not fit here; --format json has all.", "dim"))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def fitted(widths: Mapping[str, int], room: int) -> dict[str, int]:
    """The columns that are shown in a line of so many characters, and how wide each is: as many of the first as fit
    whole; of the very first ones as many as fit when text is broken over lines; one at least."""
    keys = list(widths)
    n_whole = sum(line_width(widths[key] for key in keys[: i + 1]) <= room for i in range(len(keys)))
    if n_whole >= min(KEY_COLUMNS, len(keys)):
        return {key: widths[key] for key in keys[:n_whole]}
    narrow = {key: min(widths[key], max(len(key), MIN_BREAKABLE.get(key, widths[key]))) for key in keys}
    n_shown = sum(line_width(narrow[key] for key in keys[: i + 1]) <= room for i in range(KEY_COLUMNS))
    shown = {key: widths[key] for key in keys[: max(n_shown, 1)]}
    while line_width(shown.values()) > room:
        widest = max(shown, key=lambda key: shown[key] - narrow[key])
        if shown[widest] == narrow[widest]:
            break  # it is a single column
        shown[widest] -= 1
    return shown


def line_width(widths: Iterable[int]) -> int:
    """How wide columns are beside one another."""
    return sum(width + GAP for width in widths) - GAP


def broken(value: Text, width: int) -> Text:
    """A cell as lines of this width: broken between words, behind "_" or ".", or where it must be."""
    if value.cell_len <= width:
        return value
    lines = [""]
    for part in re.findall(r"_*[^\W_]+_*\W*|[\W_]+", value.plain):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return type(value)("\n".join(line.rstrip(" ") for line in lines), value.style)


def console_for(stream: Any) -> Console:
    """What prints on a stream: as wide as a terminal is, and as wide as needed in a pipe."""
    from rich.console import Console

    return Console(file=stream, width=None if stream.isatty() else MAX_PIPE_COLUMNS, highlight=False, emoji=False)


# ---- cells ----


def cell(key: str, value: Any) -> Text:
    """A value as it is shown."""
    if value is None or value == "":
        return text("-", "dim")
    if isinstance(value, dict):
        return text(", ".join(f"{name}: {plain(name, each)}" for name, each in value.items()) or "-")
    if isinstance(value, (list, tuple)):
        return text("; ".join(plain("", each) for each in value) or "-")
    return text(plain(key, value), STYLES.get(value, "") if key in STATE_KEYS else "")


def plain(key: str, value: Any) -> str:
    """A value as text; times as the clock here shows them."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {plain(name, each)}" for name, each in value.items())
    if (key.endswith("_ms") or key in ("start_time", "end_time")) and isinstance(value, int) and value > 0:
        return f"{datetime.fromtimestamp(value / 1000):%Y-%m-%d %H:%M:%S.%f}"[:-3]
    if isinstance(value, float):
        return f"{value:.15g}" if value.is_integer() else f"{value:.6g}"
    return f"{value}"


def text(characters: str, style: str = "") -> Text:
    """Text with nothing in it that a terminal would obey."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else ascii(c)[1:-1] for c in characters), style)
