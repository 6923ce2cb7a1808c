"""What the bars claim, and how a run is held against them."""

import pytest

from benchmarks.adapters import LIBRARIES, can_do
from benchmarks.bars import BARS, MISS, OPEN, PASS, Bar, Figure, judge
from benchmarks.limits import LIMITS
from benchmarks.measure import Figures, RowResult, Usage
from benchmarks.peer import LIMIT_PREFIX
from benchmarks.rows import REGISTRY
from benchmarks.workload import Row


def result(**samples):
    return RowResult(Row("speed", "speed", "tasks/s"), {name: Figures(list(s)) for name, s in samples.items()}, Usage())


def state_of(bar, **results):
    (verdict,) = judge(results, (bar,))
    return verdict.state


FASTER = Bar("twice the pool", Figure("speed"), 2.0, beside=Figure("speed", "pool"))
SOONER = Bar("within twice the pool", Figure("speed"), 2.0, beside=Figure("speed", "pool"), at_least=False)
LIGHT = Bar("under ten", Figure("speed"), 10.0, at_least=False, unit="MB")


@pytest.mark.parametrize(
    "bar, ours, state",
    [(FASTER, 20.0, PASS), (FASTER, 19.9, MISS), (SOONER, 20.0, PASS), (SOONER, 20.1, MISS)],
)
def test_a_ratio_passes_at_its_bound_and_misses_beyond(bar, ours, state):
    assert state_of(bar, speed=result(raylite=[ours], pool=[10.0])) == state


def test_a_bar_without_another_figure_is_held_against_the_median():
    assert state_of(LIGHT, speed=result(raylite=[9.0, 10.0, 30.0])) == PASS
    assert state_of(LIGHT, speed=result(raylite=[9.0, 10.5, 30.0])) == MISS


def test_a_bar_is_open_while_one_of_its_figures_is_missing():
    assert state_of(FASTER, speed=result(raylite=[20.0])) == OPEN
    assert state_of(FASTER, speed=result(raylite=[20.0], pool=[])) == OPEN
    assert state_of(FASTER, speed=result(pool=[20.0])) == OPEN


def test_bars_of_rows_that_were_not_measured_are_left_out():
    assert judge({}) == []


@pytest.mark.parametrize("bar", BARS, ids=lambda bar: bar.claim)
def test_every_bar_compares_figures_that_a_full_run_measures(bar):
    workload_of = {row.name: workload for workload in REGISTRY.workloads.values() for row in workload.rows}
    for figure in filter(None, (bar.figure, bar.beside)):
        workload = workload_of[figure.row]
        if figure.contestant.startswith(LIMIT_PREFIX):
            limit = figure.contestant.removeprefix(LIMIT_PREFIX)
            assert limit in LIMITS
            assert any(limit in row.limits for row in workload.rows if row.name == figure.row)
        else:
            assert figure.contestant in LIBRARIES
            assert can_do(figure.contestant, workload)
