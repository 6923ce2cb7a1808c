"""Fills the table of the README with the medians of a run: `python -m benchmarks.readme_table RESULTS.json ...`.

Each line of the table that is marked `<!-- bench:ROW -->` gets the figures of that row, from the last of the files that
has it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
COLUMNS = ("raylite", "ray", "dask", "pool")
LINE = re.compile(r"(\| <!-- bench:(\w+) --> [^|]*\|).*")


def figure(value: float | None, unit: str) -> str:
    """A median in three digits, as it stands in a table."""
    if value is None:
        return "-"
    if unit == "s":
        return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
    if value < 100:
        return f"{value:.3g}"
    digits = len(str(int(value))) - 3
    return f"{round(value, -digits):,.0f}"


def cells(row: dict) -> list[str]:
    """The figures of a row, in the order of COLUMNS, then the machine's first limit."""
    libraries = row["libraries"]
    medians = [libraries.get(name, {}).get("median") for name in COLUMNS]
    medians += [limit["median"] for limit in row["limits"].values()][:1] or [None]
    return [figure(median, row["unit"]) for median in medians]


def fill(text: str, rows: dict[str, dict]) -> str:
    """The text with the marked lines filled in. Raises KeyError for a mark of a row that was not measured."""

    def line(match: re.Match) -> str:
        return " ".join([match[1], *(f"{cell} |" for cell in cells(rows[match[2]]))])

    return LINE.sub(line, text)


def main() -> None:
    rows = {}
    for path in sys.argv[1:]:
        rows.update({row["name"]: row for row in json.loads(Path(path).read_text())["rows"]})
    README.write_text(fill(README.read_text(), rows))


if __name__ == "__main__":
    main()
