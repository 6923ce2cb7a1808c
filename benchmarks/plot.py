"""The results as a picture: a panel for each row, bars on a logarithmic scale, the row's limit as a line."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.adapters import OURS
from benchmarks.limits import LIMITS
from benchmarks.measure import RowResult
from benchmarks.peer import LIMIT_PREFIX
from benchmarks.report import value_text
from benchmarks.summary import Summary, summarize

_PANELS_ACROSS = 4
_PANEL_INCHES = (4.4, 2.3)
_OUR_COLOUR, _OTHER_COLOUR, _DARK = "#c8442b", "#8d99a6", "#20262c"


def draw(results: Sequence[RowResult], libraries: Sequence[str], path: str, caption: str) -> None:
    """Write the picture to `path`, whose ending chooses the format. ModuleNotFoundError without matplotlib."""
    from matplotlib.figure import Figure

    down = math.ceil(len(results) / _PANELS_ACROSS)
    across = min(_PANELS_ACROSS, len(results))
    figure = Figure(figsize=(_PANEL_INCHES[0] * across, _PANEL_INCHES[1] * down + 0.6))
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    panels = figure.subplots(down, across, squeeze=False).flat
    for result, panel in zip(results, panels, strict=False):
        _draw_row(panel, result, libraries)
    for unused in panels:
        unused.axis("off")
    figure.supxlabel(caption, fontsize=8, color=_DARK)
    figure.savefig(path, dpi=130)


def _draw_row(panel, result: RowResult, libraries: Sequence[str]) -> None:
    row = result.row
    unit = "seconds" if row.unit == "s" else row.unit
    better = "more" if row.more_is_better else "less"
    panel.set_title(f"{row.label} ({unit}, {better} is better)", fontsize=9, loc="left")
    panel.set_yticks(range(len(libraries)), libraries, fontsize=8)
    panel.set_ylim(len(libraries) - 0.4, -0.6)  # the first library on top
    panel.spines[["top", "right"]].set_visible(False)

    summaries = {name: summarize(result.samples(name)) for name in libraries if result.samples(name)}
    limit = next(iter(result.limits), None)
    limit_value = summarize(result.samples(limit)).median if limit else 0
    visible = [value for value in (limit_value, *(summary.median for summary in summaries.values())) if value]
    left, right = (min(visible) / 3, max(visible) * 15) if visible else (0.1, 1)  # on the right, room for the figures
    _set_logarithmic(panel, left, right)
    for place, name in enumerate(libraries):
        if name in summaries:
            _draw_bar(panel, place, summaries[name], left, row.unit, _OUR_COLOUR if name == OURS else _OTHER_COLOUR)
        else:
            panel.text(left * 1.12, place, "-", va="center", fontsize=8)
    if limit_value:
        panel.axvline(limit_value, color=_DARK, linestyle=":", linewidth=1.2)
        label = LIMITS[limit.removeprefix(LIMIT_PREFIX)].label
        panel.set_xlabel(f"dotted: {label}, {value_text(limit_value, row.unit)}", fontsize=7)


def _draw_bar(panel, place: int, summary: Summary, left: float, unit: str, colour: str) -> None:
    """The median as a bar, the range of the samples as a line on it, the figure behind it."""
    low, end = max(summary.low, left), max(summary.high, left)
    panel.barh(place, max(summary.median, left) - left, left=left, color=colour, height=0.72)
    panel.plot([low, end], [place, place], color=_DARK, linewidth=1)
    backing = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 0.5}
    panel.text(end * 1.15, place, value_text(summary.median, unit), va="center", fontsize=8, bbox=backing)


def _set_logarithmic(panel, left: float, right: float) -> None:
    from matplotlib.ticker import NullFormatter

    panel.set_xscale("log")
    panel.set_xlim(left, right)
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.tick_params(axis="x", labelsize=7)
