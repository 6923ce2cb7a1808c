"""What an experiment gives: a table, what the paper has in its place, and why ours differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Chart:
    """How a table is drawn: the first column across, a line for each of `lines`."""

    lines: Sequence[str]
    label: str  # of what goes up
    is_log_across: bool = False
    is_log_up: bool = False


@dataclass
class Table:
    """Rows of figures. `columns` name them, units last; `paper` and `why` are a sentence or two each."""

    title: str
    columns: Sequence[str]
    chart: Chart
    paper: str
    why: str
    rows: list[Sequence[float]] = field(default_factory=list)
    measured: str = ""  # costs on the real runtime, where any went in

    def column(self, name: str) -> list[float]:
        """The figures of a column."""
        place = list(self.columns).index(name)
        return [row[place] for row in self.rows]

    def markdown(self) -> str:
        """The table with what there is to say of it."""
        lines = [f"# {self.title}", "", _line(self.columns), _line(["---:"] * len(self.columns))]
        lines += [_line([text_of(value) for value in row]) for row in self.rows]
        lines += ["", f"In the paper: {self.paper}", "", f"Why ours differs: {self.why}"]
        if self.measured:
            lines += ["", f"Measured on the real runtime: {self.measured}"]
        return "\n".join(lines) + "\n"


def text_of(value: float) -> str:
    """A figure in four digits at most, unless it is a whole number."""
    if value == 0 or abs(value) >= 1000 or isinstance(value, int):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
