"""`python -m benchmarks`: its options, its table, its JSON, its picture."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import all_hold, choose_libraries
from benchmarks.bars import BARS, Figure, Verdict, judge
from benchmarks.measure import Figures, RowResult, Usage
from benchmarks.plan import Plan
from benchmarks.rows import REGISTRY, select

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments, timeout_s=50):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=timeout_s
    )


def row_named(name):
    return next(row for row in REGISTRY.rows() if row.name == name)


def result_for(name, **samples):
    return RowResult(row_named(name), {who: Figures(list(values)) for who, values in samples.items()}, Usage())


def lines_of(text, label):
    return [line.split() for line in text.splitlines() if line.startswith(label)]


def test_a_quick_run_prints_a_table_and_writes_what_it_measured(tmp_path):
    path = tmp_path / "bench.json"
    completed = run("--quick", "--only", "tasks_async,tasks_sync", "--peers", "pool", "--json", str(path))
    assert completed.returncode == 0, completed.stderr
    header = next(line for line in completed.stdout.splitlines() if line.split()[:2] == ["unit", "pool"])
    assert header.split() == ["unit", "pool", "limit"]
    (cells, _limit_line) = lines_of(completed.stdout, "tasks async")
    assert cells[2] == "tasks/s" and cells[4].startswith("±")

    data = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert data["format"] == report.JSON_FORMAT
    assert {"cpu_model", "cores", "cpus_used", "kernel", "python", "versions"} <= set(data["machine"])
    assert data["settings"]["runs"] == 2
    assert [row["name"] for row in data["rows"]] == ["tasks_async", "tasks_sync"]
    for row in data["rows"]:
        assert set(row["libraries"]) == {"pool"}
        for figures in (*row["libraries"].values(), *row["limits"].values()):
            assert len(figures["samples"]) == 2 and min(figures["samples"]) > 0
            assert figures["low"] <= figures["median"] <= figures["high"]
    assert "eventfd_round_trip_one_core" in data["rows"][1]["limits"]
    assert {bar["state"] for bar in data["bars"]} == {"open"}  # without raylite


def test_whole_programs_are_started_weighed_and_shut_down():
    completed = run("--quick", "--runs", "1", "--only", "lifecycle,whole_program", "--peers", "pool,ppe")
    assert completed.returncode == 0, completed.stderr
    assert "failed" not in completed.stdout
    ((*_label, unit, pool, executor, limit), _limit_line) = lines_of(completed.stdout, "idle memory")
    assert unit == "MB"
    assert float(pool) > float(limit) / 2 and float(executor) > float(limit) / 2


@pytest.mark.timeout(120)
def test_raylite_does_every_row(tmp_path):
    path = tmp_path / "bench.json"
    completed = run("--quick", "--runs", "1", "--peers", "raylite", "--json", str(path), timeout_s=110)
    assert completed.returncode == 0, completed.stderr
    rows = json.loads(path.read_text())["rows"]
    assert [row["name"] for row in rows] == [row.name for row in REGISTRY.rows()]
    assert {row["name"]: row["libraries"]["raylite"]["error"] for row in rows} == {row["name"]: None for row in rows}


def test_an_unknown_row_or_library_is_named_with_the_known_ones():
    completed = run("--only", "tasks_asink")
    assert completed.returncode == 2
    assert "tasks_asink" in completed.stderr and "tasks_async" in completed.stderr
    completed = run("--peers", "pol")
    assert completed.returncode == 2
    assert "pol" in completed.stderr and "pool" in completed.stderr


def test_a_library_that_is_not_installed_is_left_out_unless_it_was_asked_for(monkeypatch):
    monkeypatch.setattr("benchmarks.__main__.is_installed", lambda name: name in ("pool", "ppe"))
    assert choose_libraries(None) == ["pool", "ppe"]
    assert choose_libraries(["ppe"]) == ["ppe"]
    with pytest.raises(ValueError, match="not installed: ray "):
        choose_libraries(["pool", "ray"])


def test_rows_are_chosen_by_their_names_or_their_workload_in_the_order_of_the_table():
    chosen = select(["idle_pss", "tasks_sync", "nested"])
    assert [workload.name for workload, _rows in chosen] == ["tasks_sync", "nested", "lifecycle"]
    assert [row.name for row in chosen[2][1]] == ["idle_pss"]
    assert len(chosen[1][1]) == 4
    assert [row for _workload, rows in select(None) for row in rows] == REGISTRY.rows()


def test_the_table_shows_how_many_times_better_raylite_is():
    results = [
        result_for(
            "tasks_async", raylite=[400.0, 200.0], pool=[100.0, 100.0], **{"limit:pickled_call": [800.0, 400.0]}
        ),
        result_for("shutdown", raylite=[0.5], pool=[0.25]),
        result_for("put_small", raylite=[3.0]),
    ]
    text = report.table(results, ["raylite", "pool"])
    header, tasks, shutdown, put = [line.split("  ") for line in text.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in (header, tasks, shutdown, put)]
    assert cells[0] == ["unit", "raylite", "pool", "limit", "x pool", "x limit"]
    assert cells[1] == ["tasks async", "tasks/s", "300 ±33%", "100 ±0%", "600 ±33%", "3.00", "0.500"]
    assert cells[2] == ["shutdown", "500 ms", "250 ms", "-", "0.500", "-"]
    assert cells[3] == ["put small", "puts/s", "3.00", "-", "-", "-", "-"]


def test_json_is_strict_even_where_a_ratio_is_infinite():
    results = [result_for("idle_cpu", raylite=[0.0, 0.0], pool=[2.0, 2.0], ppe=[0.0, 0.0])]
    data = report.as_json(results, judge({"idle_cpu": results[0]}), Plan(), {})
    row = json.loads(json.dumps(data, allow_nan=False))["rows"][0]
    assert row["libraries"]["pool"]["times_better"] is None  # infinitely
    assert row["libraries"]["ppe"]["times_better"] is None
    assert row["libraries"]["raylite"]["samples"] == [0.0, 0.0]


def test_failures_and_noise_are_told():
    usage = Usage(turns_s=10.0, foreign_s=4.0, waiting_s={"ray": 0.9, "pool": 0.0}, waited_s={"ray": 9.0, "pool": 9.0})
    figures = {"ray": Figures([1.0]), "pool": Figures([], "BrokenPipeError: gone")}
    told = list(report.notes([RowResult(row_named("tasks_sync"), figures, usage)], Plan(cpus=(0, 1))))
    assert told == [
        "tasks sync: pool failed: BrokenPipeError: gone",
        "other processes used the CPUs meanwhile: tasks sync 20%",
        "ray used up to 10.0% of a core while others were measured (tasks sync)",
    ]


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (0.0, "ms/s", "0"),
        (2818.0, "tasks/s", "2.82k"),
        (999.6, "tasks/s", "1.00k"),
        (812_345.0, "tasks/s", "812k"),
        (1_204_000.0, "tasks/s", "1.20M"),
        (0.0123, "GB/s", "0.0123"),
        (0.9996, "s", "1.00 s"),
        (15.04, "GB/s", "15.0"),
        (3.87, "s", "3.87 s"),
        (0.0984, "s", "98.4 ms"),
        (0.0000123, "s", "12.3 us"),
        (math.inf, "x", "inf"),
    ],
)
def test_figures_are_told_in_three_digits(value, unit, text):
    assert report.value_text(value, unit) == text


def test_a_long_error_is_told_by_its_first_and_last_line():
    figures = {
        "raylite": Figures([], "RayTaskError: task() failed\n  File ...\nKeyError: 7"),
        "pool": Figures([], "gone"),
    }
    told = list(report.notes([RowResult(row_named("tasks_sync"), figures, Usage())], Plan()))
    assert told == [
        "tasks sync: raylite failed: RayTaskError: task() failed ... KeyError: 7",
        "tasks sync: pool failed: gone",
    ]


def test_check_asks_for_bars_and_for_rows_without_failure():
    bar = next(bar for bar in BARS if bar.figure == Figure("tasks_sync"))
    fine = [result_for("tasks_sync", raylite=[1.0])]
    failed = [RowResult(row_named("tasks_sync"), {"raylite": Figures([], "died")}, Usage())]
    assert all_hold(fine, [Verdict(bar, bar.bound), Verdict(bar, None)])
    assert not all_hold(fine, [Verdict(bar, bar.bound / 2)])
    assert not all_hold(failed, [])


def test_the_picture_is_drawn_also_of_zeros_and_of_rows_without_figures(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "bench.png"
    # A pool has no store to put anything in, and uses no CPU when idle.
    completed = run("--quick", "--runs", "1", "--only", "put_small,idle_cpu", "--peers", "pool", "--plot", str(path))
    assert completed.returncode == 0, completed.stderr
    assert path.read_bytes().startswith(b"\x89PNG")
