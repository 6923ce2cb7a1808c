"""How `make test` divides the tests: each runs once, in one of two processes, and some of them alone.

A small project with the program that does it, in a temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.source.tree import ROOT

CONFTEST = """
import os, time
import pytest

@pytest.fixture(autouse=True)
def note(request):
    with open("notes", "a") as file:
        file.write(f"{request.node.name} {os.getpid()}\\n")

@pytest.fixture
def meet():
    "Returns once two processes have come here."
    open(f"came-{os.getpid()}", "w").close()
    until = time.monotonic() + 30
    while sum(name.startswith("came-") for name in os.listdir()) < 2:
        assert time.monotonic() < until
        time.sleep(0.005)
"""
MEETING = """
def test_meet_{0}(meet):
    pass

def test_after_{0}():
    pass
"""
ALONE = """
import pytest

@pytest.mark.alone
def test_alone():
    assert len(open("notes").readlines()) == N_OTHERS + 1

def test_beside_it():
    pass
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/lanes.py", tmp_path / "tests/lanes.py")
    (tmp_path / "tests/__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["alone"]\n')
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name in "ab":
        (tmp_path / f"tests/test_{name}.py").write_text(MEETING.format(name))
    return tmp_path


def lanes(project, *arguments):
    """What `make test` runs: exit status, output, and the names of the tests that each process ran."""
    command = [sys.executable, "-m", "tests.lanes", *arguments]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=50
    )
    ran = {}
    for line in (project / "notes").read_text().splitlines():
        name, pid = line.split()
        ran.setdefault(pid, []).append(name)
    return done.returncode, done.stdout, sorted(ran.values())


two_cpus = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="on one CPU there is one process")


@two_cpus
def test_two_processes_each_run_whole_files_and_at_last_one_of_them_what_is_to_run_alone(project):
    for i, name in enumerate(("test_0.py", "test_1.py")):
        (project / "tests" / name).write_text(ALONE.replace("N_OTHERS", str(6 + i)))
    status, output, ran = lanes(project)
    assert status == 0, output
    met = [names for names in ran if "test_meet_a" in names or "test_meet_b" in names]
    assert len(met) == len(ran) == 2
    assert all("test_after_a" in names for names in met if "test_meet_a" in names)
    assert sorted(name for names in ran for name in names) == sorted(
        ["test_meet_a", "test_after_a", "test_meet_b", "test_after_b", *["test_alone", "test_beside_it"] * 2]
    )
    assert sum(map(int, re.findall(r"(\d+) passed", output))) == 8


@two_cpus
def test_a_failure_of_either_is_one_of_the_whole(project):
    for name in "ab":
        with open(project / f"tests/test_{name}.py", "a") as file:
            file.write(f"\ndef test_fails():\n    assert 'this' == 'that {name}'\n")
    status, output, _ = lanes(project, "tests")
    assert status == 1
    assert sorted(re.findall(r"^E .*'this' == '(that .)'", output, re.MULTILINE)) == ["that a", "that b"]


@two_cpus
def test_a_process_that_dies_is_a_failure(project):
    (project / "tests/test_a.py").write_text("import os\n\ndef test_dies(meet):\n    os.kill(os.getpid(), 9)\n")
    status, output, ran = lanes(project)
    assert status == 128 + 9, output
    assert ["test_meet_b", "test_after_b"] in ran


@pytest.mark.parametrize("arguments", [("tests/test_a.py", "-k", "after"), ("tests/test_a.py::test_after_a",)])
def test_a_choice_of_tests_runs_in_one_process(project, arguments):
    status, output, ran = lanes(project, *arguments)
    assert status == 0, output
    assert ran == [["test_after_a"]]
    assert output.count("passed") == 1
