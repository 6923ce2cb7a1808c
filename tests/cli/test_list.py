"""`raylite list` and `raylite summary`, asked of programs that run: what they show, of whom, and what they say of a wrong
question."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from raylite.cli.group import raylite as command_line
from raylite.cli.list import COLUMNS
from raylite.cli.tables import broken, fitted, text
from tests.cli.commands import environment
from tests.runtime import drivers
from tests.util.terminal import Terminal

PROGRAM = """
@raylite.remote
def double(x):
    return 2 * x

@raylite.remote
def fails():
    raise ValueError("no")

@raylite.remote
def waits():
    while not os.path.exists("go"):
        time.sleep(0.005)

@raylite.remote(num_cpus=0)
class Counter:
    def __init__(self):
        self.n = 0

    def add(self):
        self.n += 1
        return self.n

raylite.init(num_cpus=1, namespace="tests")
assert raylite.get([double.remote(i) for i in range(5)]) == [0, 2, 4, 6, 8]
counter = Counter.options(name="one").remote()
assert raylite.get(counter.add.remote()) == 1
try:
    raylite.get(fails.remote())
except ValueError:
    pass
held = raylite.put(bytes(300_000))
group = raylite.util.placement_group([{"CPU": 5}], name="far")
refs = [waits.options(name="waits \\033[31m").remote() for _ in range(3)]
while raylite.available_resources().get("CPU"):
    pass
say("ready")
sys.stdin.readline()
"""
IN_A_LOOP = """
raylite.init(num_cpus=1)
say("ready")
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def program(module_leaves_nothing, tmp_path_factory):
    """A program with tasks that have run, run, and wait; the only one of this user's that tests of this module see."""
    driver = drivers.start(PROGRAM, tmp_path_factory.mktemp("program"))
    driver.expect("ready")
    yield driver
    driver.clean_up()


@pytest.fixture
def asked(program):
    """Run a command in this process, of the program; what it prints, once it has ended well."""

    def ask(*arguments):
        done = CliRunner().invoke(command_line, [*arguments, "--address", f"{program.pid}"])
        assert done.exit_code == 0, done.output
        return done.stdout

    return ask


@pytest.fixture
def rows(asked):
    return lambda *arguments: json.loads(asked("list", *arguments, "--format", "json"))


def refused(*arguments):
    """What a command says on stderr that does not end well, and its exit code."""
    done = CliRunner().invoke(command_line, list(arguments))
    assert done.exit_code
    return done.stderr, done.exit_code


# ---- what is listed ----


def test_tasks_by_state(rows):
    by_state = {}
    for row in rows("tasks"):
        by_state.setdefault(row["state"], []).append(row["name"])
    assert sorted(by_state["FINISHED"]) == ["Counter.__init__", "Counter.add", *["double"] * 5]
    assert by_state["FAILED"] == ["fails"]
    assert len(by_state["RUNNING"]) == 1
    assert len(by_state["PENDING_NODE_ASSIGNMENT"]) == 2


def test_filters_are_all_to_hold(rows):
    assert {row["name"] for row in rows("tasks", "--filter", "name=double")} == {"double"}
    done = rows("tasks", "--filter", "name!=double", "--filter", "state=FINISHED")
    assert sorted(row["name"] for row in done) == ["Counter.__init__", "Counter.add"]
    [row] = rows("tasks", "-f", "state = RUNNING")
    assert rows("tasks", "-f", f"worker_pid={row['worker_pid']}", "-f", "state=RUNNING") == [row]


def test_what_is_cut_is_said(program):
    done = CliRunner().invoke(
        command_line, ["list", "tasks", "--limit", "4", "--format", "json", "--address", f"{program.pid}"]
    )
    assert len(json.loads(done.stdout)) == 4
    assert done.stderr == "These are the latest 4; there are more: see --limit.\n"
    done = CliRunner().invoke(command_line, ["list", "actors", "--limit", "1", "--address", f"{program.pid}"])
    assert not done.stderr


def test_the_other_resources(rows, program):
    [actor] = rows("actors")
    assert (actor["class_name"], actor["state"], actor["name"], actor["ray_namespace"]) == (
        "Counter",
        "ALIVE",
        "one",
        "tests",
    )
    assert any(row["object_size"] > 300_000 for row in rows("objects"))
    workers = rows("workers")
    assert actor["pid"] in {row["pid"] for row in workers if row["worker_type"] == "WORKER"}
    assert [row["pid"] for row in workers if row["worker_type"] == "DRIVER" and row["is_alive"]] == [program.pid]
    [group] = rows("placement-groups")
    assert (group["name"], group["state"]) == ("far", "PENDING")
    [node] = rows("nodes")
    assert node["resources_total"]["CPU"] == 1
    [job] = rows("jobs")
    assert job["status"] == "RUNNING" and program.process.args[-1] in job["entrypoint"]


@pytest.mark.parametrize("resource", COLUMNS)
def test_every_table_has_its_columns(asked, rows, resource):
    """In a pipe, which has room for all: first those that are to stay in a narrow terminal."""
    heading = asked("list", resource).splitlines()[0].split()
    columns = COLUMNS[resource].split()
    assert heading[: len(columns)] == columns
    assert set(heading) == set(rows(resource)[0])


def test_a_row_in_a_pipe_is_a_line_without_control_characters(asked):
    lines = asked("list", "tasks", "-f", "state=RUNNING").splitlines()
    assert len(lines) == 2
    assert "waits \\x1b[31m" in lines[1] and "\x1b" not in "".join(lines)


def test_detail_is_a_line_for_each_column(asked, rows):
    [row] = rows("tasks", "--filter", "state=FAILED", "--detail")
    text = asked("list", "tasks", "--filter", "state=FAILED", "--detail")
    shown = [line.split(maxsplit=1)[0] for line in text.splitlines() if line and not line.startswith(" ")]
    assert shown == list(row)
    assert "ValueError: no" in text


def test_nothing_to_list_is_said(asked):
    assert asked("list", "tasks", "--filter", "name=nobody") == "There are no tasks for which that holds.\n"


def test_summary(asked):
    lines = asked("summary", "tasks").splitlines()
    [double] = [line for line in lines if line.startswith("double")]
    assert "5 FINISHED" in double
    assert any(line.startswith("total tasks: ") for line in lines)
    of_actors = json.loads(asked("summary", "actors", "--format", "json"))["cluster"]
    assert of_actors["total_actors"] == 1
    objects = asked("summary", "objects")
    assert re.search(r"^ref_type_counts +.*\b1 ACTOR_HANDLE", objects, re.MULTILINE) and "total objects: " in objects


# ---- as people see it ----


def on_a_terminal(*arguments, n_columns, **variables):
    """What a command in a process of its own writes to a terminal."""
    terminal = Terminal()
    try:
        subprocess.run(
            [sys.executable, "-m", "raylite", *arguments],
            env=environment(COLUMNS=f"{n_columns}", TERM="xterm", **variables),
            stdin=terminal.fd,
            stdout=terminal.fd,
            stderr=terminal.fd,
            timeout=40,
            check=True,
        )
        return terminal.text()
    finally:
        terminal.close()


@pytest.mark.parametrize("n_columns", [80, 160])
def test_a_table_fits_the_terminal(program, n_columns):
    text = on_a_terminal("list", "tasks", "--address", f"{program.pid}", n_columns=n_columns)
    lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()
    assert max(map(len, lines)) <= n_columns
    assert lines[0].split()[:4] == ["task_id", "name", "state", "worker_pid"]
    assert ("error_type" in lines[0]) == (n_columns == 160)
    assert lines[-1].endswith("more columns do not fit here; --format json has all.")


def test_colours_are_the_terminal_s_affair(program):
    asked = ("list", "tasks", "-f", "state=FAILED", "--address", f"{program.pid}")
    red = "\x1b[31mFAILED"
    assert red in on_a_terminal(*asked, n_columns=120)
    assert red not in on_a_terminal(*asked, n_columns=120, NO_COLOR="1")


def test_columns_that_do_not_fit_are_left_out_the_last_first():
    widths = {"id": 32, "name": 40, "state": 20, "pid": 5, "type": 10, "more": 10}
    assert fitted(widths, 200) == widths
    assert list(fitted(widths, 32 + 40 + 20 + 5 + 10 + 4 * 2)) == ["id", "name", "state", "pid", "type"]
    assert fitted(widths, 79) == {"id": 32, "name": 16, "state": 20, "pid": 5}
    assert list(fitted(widths, 60)) == ["id", "name"]
    assert fitted(widths, 10) == {"id": 32}


def test_long_cells_are_broken_between_words():
    name = text("train_one_epoch_of.the modelwithnowordbreak")
    assert broken(name, 15).plain.splitlines() == ["train_one_", "epoch_of.the", "modelwithnowordbreak"]
    assert broken(text("Counter.__init__"), 12).plain.splitlines() == ["Counter.", "__init__"]
    assert broken(name, 50) is name


# ---- which program is asked ----


def test_several_programs_are_shown_to_choose_from(program, tmp_path):
    other = drivers.start(IN_A_LOOP, tmp_path)
    try:
        other.expect("ready")
        said, code = refused("list", "tasks")
        assert code == 1
        assert said.startswith("Error: Several programs run raylite; say which is meant.")
        for driver in (program, other):
            [line] = [line for line in said.splitlines() if f"--address {driver.pid} " in line]
            assert driver.process.args[-1] in line
        said, code = refused("list", "tasks", "--address", f"{os.getpid()}")
        assert code == 1
        assert f"There is no raylite driver in process {os.getpid()}." in said and f"--address {other.pid}" in said
    finally:
        other.clean_up()


def test_no_program(monkeypatch):
    monkeypatch.setattr("raylite.runtime.attach.listed_sockets", list)
    said, code = refused("summary", "tasks")
    assert code == 1
    assert said.startswith("Error: No program of yours runs raylite on this machine")


@pytest.mark.parametrize(
    "arguments, what",
    [
        (["list", "tasks", "--filter", "state"], "'state' is neither key=value nor key!=value"),
        (["list", "tasks", "--filter", "colour=red"], "colour"),
        (["list", "things"], "'things' is not one of 'tasks', 'actors'"),
        (["list", "tasks", "--limit", "0"], "0 is not in the range"),
        (["list", "tasks", "--format", "xml"], "'xml' is not one of"),
        (["summary", "nodes"], "'nodes' is not one of"),
    ],
)
def test_a_question_that_makes_no_sense(program, arguments, what):
    said, code = refused(*arguments, "--address", f"{program.pid}")
    assert code == 2
    assert what in said


def test_a_program_that_ends_meanwhile(tmp_path, monkeypatch):
    driver = drivers.start(IN_A_LOOP, tmp_path)
    try:
        driver.expect("ready")
        found = drivers_found(driver.pid)
        os.kill(driver.pid, signal.SIGKILL)
        driver.process.wait()
        monkeypatch.setattr("raylite.runtime.attach.drivers", lambda: [found])
        said, code = refused("list", "tasks")
        assert (said, code) == (f"Error: process {driver.pid} has ended, or has shut its runtime down.\n", 1)
    finally:
        driver.clean_up()


def drivers_found(pid):
    from raylite.runtime import attach

    return next(driver for driver in attach.drivers() if driver.pid == pid)


def test_stack_shows_where_every_process_is(asked):
    found = json.loads(asked("stack", "--format", "json"))
    assert {each["type"] for each in found} == {"DRIVER", "WORKER"}
    assert any("in waits" in line for each in found for thread in each["threads"] or () for line in thread)
    assert "in waits" in asked("stack")


def test_memory_shows_every_object_and_what_they_take(asked):
    found = json.loads(asked("memory", "--format", "json"))
    largest = found["objects"][0]
    assert largest["size_bytes"] >= 300_000 and largest["where"] == "shared memory"
    assert "LOCAL_REFERENCE (driver" in largest["references"]
    for groups in (found["by_call_site"], found["by_node"]):
        [total] = groups.values()
        assert total == {
            "objects": len(found["objects"]),
            "size_bytes": sum(each["size_bytes"] for each in found["objects"]),
        }
    assert largest["object_id"] in asked("memory", "--limit", "1")
