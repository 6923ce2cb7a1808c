"""What must hold: each bar a figure of raylite beside another figure of the same run, or beside a bound.

A ratio is taken in every round, and its median is what counts. A bar whose figures were not all measured is open.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.measure import RowResult, limit_contestant
from benchmarks.summary import paired_ratio, summarize

PASS, MISS, OPEN = "pass", "miss", "open"


@dataclass(frozen=True)
class Figure:
    """One contestant's samples on one row."""

    row: str
    contestant: str = "raylite"


@dataclass(frozen=True)
class Bar:
    """A claim: `figure`, divided by `beside` where there is one, is at least or at most `bound`."""

    claim: str
    figure: Figure
    bound: float
    beside: Figure | None = None
    at_least: bool = True
    unit: str = "x"


@dataclass(frozen=True)
class Verdict:
    """A bar and how it came out; no value where it is open."""

    bar: Bar
    value: float | None

    @property
    def state(self) -> str:
        if self.value is None:
            return OPEN
        holds = operator.ge if self.bar.at_least else operator.le
        return PASS if holds(self.value, self.bar.bound) else MISS


def _times_ray(what: str, row: str, bound: float) -> Bar:
    return Bar(f"{what}: {bound:g} times Ray", Figure(row), bound, beside=Figure(row, "ray"))


BARS = (
    Bar(
        "1,000 tasks in flight: at least as fast as Pool.map(chunksize=1)",
        Figure("tasks_async"),
        1.0,
        beside=Figure("tasks_async", "pool"),
    ),
    _times_ray("tasks one by one", "tasks_sync", 15.0),
    _times_ray("actor calls one by one", "actor_sync", 10.0),
    _times_ray("actor calls, 1,000 in flight", "actor_async", 10.0),
    _times_ray("actor calls in 16 threads", "actor_concurrent", 10.0),
    _times_ray("an actor calls n", "actor_1n_async", 10.0),
    _times_ray("tasks call n actors", "actor_nn_async", 10.0),
    _times_ray("n actors call n with a stored argument", "actor_nn_arg_async", 10.0),
    _times_ray("async actor calls one by one", "async_actor_sync", 6.0),
    _times_ray("async actor calls, 1,000 in flight", "async_actor_async", 6.0),
    _times_ray("async actor calls with arguments", "async_actor_args_async", 6.0),
    _times_ray("an actor calls n async actors", "async_actor_1n_async", 6.0),
    _times_ray("tasks call n async actors", "async_actor_nn_async", 6.0),
    Bar(
        "put of a 100 MB array: half of a warm copy",
        Figure("put_large"),
        0.5,
        beside=Figure("put_large", limit_contestant("warm_copy")),
    ),
    Bar(
        "get of a 100 MB array: half of a warm copy",
        Figure("get_large"),
        0.5,
        beside=Figure("get_large", limit_contestant("warm_copy")),
    ),
    Bar(
        "nested, driver asleep on the GIL: 80% of quiet",
        Figure("nested_gil_asleep"),
        0.8,
        beside=Figure("nested_quiet"),
    ),
    Bar(
        "nested, driver spins: 80% of beside a spinner",
        Figure("nested_driver_spins"),
        0.8,
        beside=Figure("nested_beside_spinner"),
    ),
    Bar(
        "init to first result: within 4 times a bare interpreter's start",
        Figure("init_to_first_result"),
        4.0,
        beside=Figure("init_to_first_result", limit_contestant("interpreter_start")),
        at_least=False,
    ),
    Bar("driver and two idle workers: under 95 MB", Figure("idle_pss"), 95.0, at_least=False, unit="MB"),
    # The kernel's own bookkeeping may cost a few microseconds: a thousandth of a core is none.
    Bar("driver and two idle workers: no CPU", Figure("idle_cpu"), 1.0, at_least=False, unit="ms/s"),
)


def judge(results: Mapping[str, RowResult], bars: tuple[Bar, ...] = BARS) -> list[Verdict]:
    """Hold the results, by row name, against the bars; bars about rows that were not asked for are left out."""
    return [
        Verdict(bar, _value(bar, results))
        for bar in bars
        if bar.figure.row in results and (bar.beside is None or bar.beside.row in results)
    ]


def _value(bar: Bar, results: Mapping[str, RowResult]) -> float | None:
    def samples(figure: Figure) -> list[float]:
        return results[figure.row].samples(figure.contestant)

    ours = samples(bar.figure)
    if not ours:
        return None
    value = summarize(ours).median if bar.beside is None else paired_ratio(ours, samples(bar.beside))
    return None if value is None or math.isnan(value) else value
