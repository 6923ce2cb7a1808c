"""The results as a table for people and as JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from benchmarks.adapters import OURS
from benchmarks.bars import Verdict
from benchmarks.limits import LIMITS
from benchmarks.measure import Figures, RowResult
from benchmarks.peer import LIMIT_PREFIX
from benchmarks.plan import Plan
from benchmarks.summary import summarize, times_better

JSON_FORMAT = 1
NOTHING = "-"
_ROUNDS_UP = 0.9995  # of the next size: 999.6 is told as 1.00k
_NOISY_FOREIGN_SHARE = 0.05
_NOISY_WAITING_SHARE = 0.02


def ratio_to(result: RowResult, contestant: str) -> float | None:
    """How many times better raylite is than another contestant on this row."""
    return times_better(result.samples(OURS), result.samples(contestant), result.row.more_is_better)


def as_json(results: Sequence[RowResult], verdicts: Iterable[Verdict], plan: Plan, machine_facts: dict) -> dict:
    """Everything that was measured, raw samples included, in a form that `json.dump` takes strictly."""
    return {
        "format": JSON_FORMAT,
        "machine": machine_facts,
        "settings": plan.as_dict(),
        "rows": [_row_as_dict(result, len(plan.cpus)) for result in results],
        "bars": [
            {
                "claim": verdict.bar.claim,
                "value": _finite(verdict.value),
                "bound": verdict.bar.bound,
                "bound_is": "at least" if verdict.bar.at_least else "at most",
                "unit": verdict.bar.unit,
                "state": verdict.state,
            }
            for verdict in verdicts
        ],
    }


def table(results: Sequence[RowResult], libraries: Sequence[str]) -> str:
    """A line for each row: medians with their spread, then how many times better raylite is."""
    others = [name for name in libraries if name != OURS]
    compares = OURS in libraries
    header = ["", "unit", *libraries, "limit"]
    if compares:
        header += [f"x {name}" for name in (*others, "limit")]
    lines = [header]
    for result in results:
        limit = next(iter(result.limits), None)
        line = [result.row.label, _shown_unit(result.row.unit)]
        line += [_figures_text(result.figures.get(name), result.row.unit) for name in libraries]
        line.append(_figures_text(result.figures[limit], result.row.unit) if limit else NOTHING)
        if compares:
            line += [ratio_text(ratio_to(result, name)) for name in others]
            line.append(ratio_text(ratio_to(result, limit)) if limit else NOTHING)
        lines.append(line)
    return aligned(lines)


def limits_table(results: Sequence[RowResult]) -> str:
    """The limits of each row by name, with how much of each raylite reaches."""
    lines = []
    for result in results:
        for contestant in result.limits:
            limit = LIMITS[contestant.removeprefix(LIMIT_PREFIX)]
            figure = _figures_text(result.figures[contestant], limit.unit)
            line = [result.row.label, limit.label, f"{figure} {_shown_unit(limit.unit)}"]
            lines.append([*line, ratio_text(ratio_to(result, contestant))])
    return aligned([["limits of", "", "", f"x {OURS}"], *lines]) if lines else ""


def verdicts_table(verdicts: Sequence[Verdict]) -> str:
    lines = []
    for verdict in verdicts:
        bar = verdict.bar
        value = NOTHING if verdict.value is None else f"{number_text(verdict.value)} {bar.unit}"
        sign = ">=" if bar.at_least else "<="
        lines.append([verdict.state, bar.claim, value, f"{sign} {number_text(bar.bound)}"])
    return aligned(lines)


def notes(results: Sequence[RowResult], plan: Plan) -> Iterator[str]:
    """Failures, and reasons to distrust figures."""
    yield from _failures(results)
    firsts: dict[int, RowResult] = {}  # the first row of each workload: its rows share their usage
    for result in results:
        firsts.setdefault(id(result.usage), result)
    shares = [(result.usage.foreign_share(len(plan.cpus)), result.row.label) for result in firsts.values()]
    if noisy := [f"{label} {share:.0%}" for share, label in shares if share > _NOISY_FOREIGN_SHARE]:
        yield f"other processes used the CPUs meanwhile: {'; '.join(noisy)}"
    restless: dict[str, tuple[float, str]] = {}
    for result in firsts.values():
        for contestant in result.figures:
            share = result.usage.waiting_share(contestant)
            if share > _NOISY_WAITING_SHARE:
                restless[contestant] = max(restless.get(contestant, (0.0, "")), (share, result.row.label))
    for contestant, (share, label) in restless.items():
        yield f"{contestant} used up to {share:.1%} of a core while others were measured ({label})"


def _failures(results: Sequence[RowResult]) -> Iterator[str]:
    told: set[str] = set()
    for result in results:
        for contestant, figures in result.figures.items():
            if figures.error and (line := f"{contestant} failed: {_ends_of(figures.error)}") not in told:
                told.add(line)
                yield f"{result.row.label}: {line}"


def _ends_of(text: str) -> str:
    """The first and last line of an error: what happened, and the heart of a traceback; all of it is in the JSON."""
    first, *_, last = [*text.splitlines()[:1], *text.splitlines()[-1:]]
    return first if first == last else f"{first} ... {last}"


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell: the first two to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def value_text(value: float, unit: str) -> str:
    """A figure in as few characters as tell it: seconds get a unit of their own size."""
    if unit != "s" or not value:
        return number_text(value)
    for size, name in ((1, "s"), (1e-3, "ms"), (1e-6, "us")):
        if value >= size * _ROUNDS_UP:
            return f"{number_text(value / size)} {name}"
    return f"{number_text(value * 1e9)} ns"


def number_text(value: float) -> str:
    """Three significant digits, with k, M or G for thousands."""
    if not math.isfinite(value):
        return "inf"
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size * _ROUNDS_UP:
            return f"{_three_digits(value / size)}{suffix}"
    return _three_digits(value)


def ratio_text(ratio: float | None) -> str:
    return NOTHING if ratio is None else number_text(ratio)


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    if not rounded:
        return "0"
    return f"{rounded:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def _shown_unit(unit: str) -> str:
    return "" if unit == "s" else unit


def _figures_text(figures: Figures | None, unit: str) -> str:
    if figures is None:
        return NOTHING
    if not figures.samples:
        return "failed"
    summary = summarize(figures.samples)
    if summary.count == 1 or not math.isfinite(summary.spread):
        return value_text(summary.median, unit)
    return f"{value_text(summary.median, unit)} ±{summary.spread:.0%}"


def _row_as_dict(result: RowResult, cpu_count: int) -> dict:
    row = result.row
    by_kind: dict[str, dict] = {"libraries": {}, "limits": {}}
    for contestant, figures in result.figures.items():
        kind = "limits" if contestant.startswith(LIMIT_PREFIX) else "libraries"
        by_kind[kind][contestant.removeprefix(LIMIT_PREFIX)] = {
            **_figures_as_dict(figures),
            "times_better": None if contestant == OURS else _finite(ratio_to(result, contestant)),
            "waiting_cpu_share": round(result.usage.waiting_share(contestant), 4),
        }
    return {
        "name": row.name,
        "label": row.label,
        "unit": row.unit,
        "more_is_better": row.more_is_better,
        "ray_microbenchmark": row.ray_name,
        **by_kind,
        "foreign_cpu_share": round(result.usage.foreign_share(cpu_count), 4),
        "stolen_cpu_s": round(result.usage.stolen_s, 2),
    }


def _figures_as_dict(figures: Figures) -> dict:
    entry: dict = {"samples": figures.samples, "error": figures.error}
    if figures.samples:
        summary = summarize(figures.samples)
        entry |= {"median": summary.median, "low": summary.low, "high": summary.high}
        entry["spread"] = _finite(summary.spread)
    return entry


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
