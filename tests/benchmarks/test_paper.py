"""The experiments of the Ray paper: each at a tiny size, with what its table has to show, whatever the figures."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from benchmarks.paper import __main__ as command
from benchmarks.paper import costs
from tests.source.tree import ROOT


@pytest.fixture(params=command.EXPERIMENTS)
def experiment(request):
    return request.param, importlib.import_module(f"benchmarks.paper.{request.param}")


def test_each_gives_a_row_of_figures_for_its_columns(experiment):
    name, module = experiment
    table = module.measure(**module.TINY)
    assert len(table.rows) >= 2
    assert all(len(row) == len(table.columns) and min(row) >= 0 for row in table.rows)
    assert set(table.chart.lines) < set(table.columns)
    SHOWS[name](table)


def shows_more_on_more_nodes(table):
    assert table.column("tasks") == [2 * 40, 3 * 40]
    assert min(table.column("tasks per s")) > 0


def shows_what_locality_saves(table):
    aware, unaware = table.column("aware, ms"), table.column("unaware, ms")
    assert unaware[-1] > 1.5 * aware[-1]


def shows_that_the_store_waits_for_silence(table):
    for dead_ms, usual_ms, head_ms, tail_ms in table.rows:
        assert usual_ms < dead_ms <= min(head_ms, tail_ms) < 10 * dead_ms


def shows_tasks_that_run_again(table):
    assert sum(table.column("of them again per s")) > 0
    assert min(table.column("nodes")) == 2 and table.rows[-1][1] == 3


def shows_what_checkpoints_save(table):
    saved, logged = (sum(table.column(name)) for name in ("of them again per s", "of those again per s"))
    assert 0 < saved <= 2 * 25 < 150 < logged  # on two actors


def shows_that_delay_adds_up(table):
    assert table.column("times that without")[0] == 1 < table.column("times that without")[-1]


def shows_what_stays(table):
    flushing, kept = table.column("rows, flushing"), table.column("rows, not flushing")
    assert flushing[0] == flushing[-1]
    assert kept == [kept[0], kept[0] + 20]


SHOWS = {
    "throughput": shows_more_on_more_nodes,
    "locality": shows_what_locality_saves,
    "failover": shows_that_the_store_waits_for_silence,
    "reconstruction": shows_tasks_that_run_again,
    "actors": shows_what_checkpoints_save,
    "allreduce": shows_that_delay_adds_up,
    "flushing": shows_what_stays,
}


def test_costs_are_measured_on_the_real_runtime():
    for cost in (costs.core_s_per_task, costs.worker_s_per_task, costs.submitter_s_per_task):
        assert 0 < cost(n_tasks=200, rounds=1) < 1


def test_the_command_writes_tables_and_pictures(tmp_path):
    pytest.importorskip("matplotlib")
    results = tmp_path / "new"
    command = [sys.executable, "-m", "benchmarks.paper", "flushing", "--tiny", "--results", str(results)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "| 40 |" in done.stdout
    assert (results / "flushing.md").read_text() in done.stdout
    assert (results / "flushing.png").read_bytes().startswith(b"\x89PNG")


def test_an_experiment_that_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(["nonsense"])
    assert "there are throughput, locality" in capsys.readouterr().err
