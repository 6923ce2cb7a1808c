"""The README's quickstart does what stands below it, and its table is about what the benchmark measures."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from benchmarks.adapters import can_do
from benchmarks.rows import REGISTRY
from tests.docs.pages import ROOT, code_blocks, section, table_with, text_of

LIBRARIES = {"raylite": "raylite", "Ray": "ray", "dask.distributed": "dask", "multiprocessing.Pool": "pool"}
NOTHING = "-"
TIME_LIMIT_S = 50
WORKLOADS = {row.name: (workload, row) for workload in REGISTRY.workloads.values() for row in workload.rows}


def test_the_quickstart_prints_what_the_readme_says(tmp_path):
    quickstart = section("README.md", "Quickstart")
    [program] = code_blocks(quickstart, "python")
    [expected] = code_blocks(quickstart, "text")
    (tmp_path / "quickstart.py").write_text(program)
    finished = subprocess.run(
        [sys.executable, "quickstart.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )
    assert (finished.stdout, finished.stderr, finished.returncode) == (expected, "", 0)


def test_the_figures_are_of_rows_that_the_benchmark_has():
    names = [row_name(line) for line in figures()]
    assert len(names) == len(set(names)) > 0
    assert set(names) <= WORKLOADS.keys()


def test_a_figure_is_missing_exactly_where_a_library_cannot_do_the_work():
    for line in figures():
        workload, row = WORKLOADS[row_name(line)]
        for column, library in LIBRARIES.items():
            assert (line[column] == NOTHING) == (not can_do(library, workload)), f"{row.name} of {column}"
        assert (line["limit"] == NOTHING) == (not row.limits), row.name


def test_the_pythons_are_those_of_the_package():
    classifiers = re.findall(r"Python :: (3\.\d+)", text_of("pyproject.toml"))
    assert re.findall(r"\b3\.\d+", section("README.md", "Platform and license").partition("CPython")[2]) == classifiers


def figures():
    return table_with(section("README.md", "Where it stands"), "", *LIBRARIES, "limit")


def row_name(line):
    return re.match(r"<!-- bench:(\w+) -->", line[""])[1]
