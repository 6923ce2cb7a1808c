"""A table as a picture: its first column across, a line for each of the columns that its chart names."""

from __future__ import annotations

from pathlib import Path

from benchmarks.paper.table import Table

_COLOURS = ("#c8442b", "#5b6b7a", "#d9a03f", "#4a8a6f")
_DARK = "#20262c"
_INCHES = (6.4, 3.8)


def draw(table: Table, path: Path) -> None:
    """Write the picture. ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES)
    figure.set_layout_engine("constrained")
    panel = figure.subplots()
    across = table.columns[0]
    for name, colour in zip(table.chart.lines, _COLOURS, strict=False):
        panel.plot(table.column(across), table.column(name), color=colour, marker="o", markersize=4, label=name)
    if table.chart.is_log_across:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(_plain)
    if table.chart.is_log_up:
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(_plain)
        panel.yaxis.set_minor_formatter(_plain_if_leading)
    else:
        panel.yaxis.set_major_formatter(_plain)
        panel.set_ylim(bottom=0)
    panel.set_title(table.title, fontsize=10, loc="left", color=_DARK)
    panel.set_xlabel(across, fontsize=9)
    panel.set_ylabel(table.chart.label, fontsize=9)
    panel.tick_params(which="both", labelsize=8)
    panel.grid(alpha=0.25)
    panel.spines[["top", "right"]].set_visible(False)
    if len(table.chart.lines) > 1:
        panel.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=130)


def _plain(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _plain_if_leading(value: float, _: object = None) -> str:
    """Of the marks between powers of ten, only 2 and 5 have their figure."""
    return _plain(value) if f"{value:e}"[0] in "25" else ""
