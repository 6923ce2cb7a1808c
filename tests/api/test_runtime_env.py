"""Runtime environments of jobs and tasks: variables, folders and modules, inherited and merged as in Ray."""

from __future__ import annotations

import importlib
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

import raylite
from raylite.exceptions import RuntimeEnvSetupError
from raylite.runtime_env import RuntimeEnv


@raylite.remote(num_cpus=0)
def variable(*names):
    return [os.environ.get(name) for name in names]


@raylite.remote(num_cpus=0)
def pid():
    return os.getpid()


@raylite.remote(num_cpus=0)
def read(path):
    return Path(path).read_text()


@raylite.remote(num_cpus=0)
def write(path):
    Path(path).write_text("written by a worker")
    return os.path.abspath(path)


@raylite.remote(num_cpus=0)
def value_of(module, name="VALUE"):
    return getattr(importlib.import_module(module), name)


@raylite.remote(num_cpus=0)
def in_child(function, *args, **options):
    return raylite.get(function.options(**options).remote(*args))


def env(**variables):
    return {"env_vars": variables}


def folder(path, **files):
    """A folder with files: `name__txt="text"` is name.txt."""
    path.mkdir()
    for name, text in files.items():
        (path / ".".join(name.rsplit("__", 1))).write_text(text)
    return str(path)


@pytest.fixture
def one_cpu(leaves_nothing):
    raylite.init(num_cpus=1, runtime_env=env(JOB="job", BOTH="job"))
    yield raylite
    raylite.shutdown()


# ---- variables ----


def test_variables_of_a_task_are_added_to_those_of_the_job(one_cpu):
    here = variable.options(runtime_env=env(BOTH="task", TASK="task"))
    assert raylite.get(here.remote("JOB", "BOTH", "TASK")) == ["job", "task", "task"]
    assert raylite.get(variable.remote("JOB", "BOTH", "TASK")) == ["job", "job", None]


def test_a_decorator_and_options_give_it_and_options_win(one_cpu):
    @raylite.remote(num_cpus=0, runtime_env=env(TASK="decorator", ONLY="decorator"))
    def task():
        return os.environ.get("TASK"), os.environ.get("ONLY")

    assert raylite.get(task.remote()) == ("decorator", "decorator")
    assert raylite.get(task.options(runtime_env=env(TASK="options")).remote()) == ("options", None)
    assert raylite.get(task.options(name="renamed").remote()) == ("decorator", "decorator")


def test_what_a_task_submits_inherits_its_environment_and_adds_to_it(one_cpu):
    names = "JOB", "BOTH", "TASK"
    parent = in_child.options(runtime_env=env(BOTH="parent"))
    assert raylite.get(parent.remote(variable, *names)) == ["job", "parent", None]
    assert raylite.get(parent.remote(variable, *names, runtime_env=env(TASK="t"))) == ["job", "parent", "t"]
    assert raylite.get(in_child.remote(variable, *names, runtime_env=env(TASK="t"))) == ["job", "job", "t"]


def test_equal_environments_share_workers_and_the_jobs_is_one_of_them(one_cpu):
    a = raylite.get(pid.options(runtime_env=env(A="1", B="2")).remote())
    b = raylite.get(pid.options(runtime_env=env(B="2", A="1")).remote())
    c = raylite.get(pid.options(runtime_env=env(A="2")).remote())
    job = raylite.get(pid.remote())
    as_job = raylite.get(pid.options(runtime_env=env(JOB="job")).remote())
    back = raylite.get(in_child.options(runtime_env=env(JOB="other")).remote(pid, runtime_env=env(JOB="job")))
    assert a == b
    assert job == as_job == back
    assert len({a, c, job}) == 3


def test_a_variable_may_refer_to_those_that_are_there(monkeypatch):
    monkeypatch.setenv("GIVEN", "given")
    with raylite.init(num_cpus=1, runtime_env=env(MINE="${GIVEN}:job")):
        later = variable.options(runtime_env=env(MINE="${GIVEN}:${JUST_NOTHING}:task"))
        assert raylite.get([variable.remote("MINE"), later.remote("MINE")]) == [["given:job"], ["given::task"]]


def test_idle_workers_of_other_environments_make_room():
    with raylite.init(num_cpus=1, worker_cap=1):
        got = [raylite.get(variable.options(runtime_env=env(A=str(i))).remote("A")) for i in range(4)]
    assert got == [["0"], ["1"], ["2"], ["3"]]


def test_workers_of_one_environment_run_many_tasks(one_cpu):
    there = pid.options(runtime_env=env(A="1"))
    assert len(set(raylite.get([there.remote() for _ in range(200)]))) <= 16


def test_runtime_env_class(one_cpu):
    made = RuntimeEnv(env_vars={"A": "class"})
    assert made == {"env_vars": {"A": "class"}}
    assert raylite.get(variable.options(runtime_env=made).remote("A")) == ["class"]
    with pytest.raises(ValueError, match="no field 'colour'"):
        RuntimeEnv(colour="red")
    with pytest.raises(ValueError, match="install it there"):
        RuntimeEnv(pip=["x"])


def test_the_runtime_context_tells_of_it(one_cpu, tmp_path):
    @raylite.remote(num_cpus=0)
    def told():
        context = raylite.get_runtime_context()
        return context.runtime_env, json.loads(context.get_runtime_env_string())

    (tmp_path / "source").mkdir()
    there, text = raylite.get(told.options(runtime_env={"working_dir": str(tmp_path / "source")}).remote())
    assert there == text and there["env_vars"] == {"JOB": "job", "BOTH": "job"} and len(there["working_dir"]) == 40
    assert raylite.get(told.remote())[0] == raylite.get_runtime_context().runtime_env == env(JOB="job", BOTH="job")


# ---- working_dir ----


def test_tasks_run_in_a_copy_of_the_working_dir(tmp_path):
    source = folder(tmp_path / "source", data__txt="data", ours__py="VALUE = 'ours'")
    with raylite.init(num_cpus=1, runtime_env={"working_dir": source}):
        written = raylite.get(write.remote("new.txt"))
        assert raylite.get([read.remote("data.txt"), value_of.remote("ours")]) == ["data", "ours"]
        assert raylite.get(read.remote("new.txt")) == "written by a worker"  # workers share the copy
        (tmp_path / "source" / "data.txt").write_text("changed")
        assert raylite.get(read.remote("data.txt")) == "data"
        assert sorted(os.listdir(source)) == ["data.txt", "ours.py"]
        assert os.path.exists(written)
    assert not os.path.exists(os.path.dirname(os.path.dirname(written)))


def test_the_working_dir_of_a_task_takes_the_place_of_the_jobs(tmp_path):
    job = folder(tmp_path / "job", name__txt="job", only_job__py="VALUE = 1", both__py="VALUE = 'job'")
    task = folder(tmp_path / "task", name__txt="task", both__py="VALUE = 'task'")
    with raylite.init(num_cpus=1, runtime_env={"working_dir": job, **env(A="a")}):
        here = {"runtime_env": {"working_dir": task}}
        asked = [read.remote("name.txt"), read.options(**here).remote("name.txt"), value_of.remote("both")]
        assert raylite.get(asked) == ["job", "task", "job"]
        assert raylite.get([value_of.options(**here).remote("both"), variable.options(**here).remote("A")]) == [
            "task",
            ["a"],
        ]
        with pytest.raises(ModuleNotFoundError):
            raylite.get(value_of.options(**here).remote("only_job"))
        inherited = in_child.options(**here).remote(read, "name.txt", runtime_env=env(B="b"))
        assert raylite.get(inherited) == "task"


def test_a_working_dir_given_inside_a_task(one_cpu, tmp_path):
    source = folder(tmp_path / "source", name__txt="given in a task")
    assert raylite.get(in_child.remote(read, "name.txt", runtime_env={"working_dir": source})) == "given in a task"


def test_each_submission_sees_the_folder_as_it_was_then(one_cpu, tmp_path):
    source = folder(tmp_path / "source", name__txt="first")
    first = read.options(runtime_env={"working_dir": source})
    assert raylite.get(first.remote("name.txt")) == "first"
    (tmp_path / "source" / "name.txt").write_text("second")
    second = read.options(runtime_env={"working_dir": source})
    assert raylite.get([first.remote("name.txt"), second.remote("name.txt")]) == ["first", "second"]


def test_the_working_dir_comes_before_the_drivers_path(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(folder(tmp_path / "driver", both_of_us__py="VALUE = 'driver'"))
    source = folder(tmp_path / "source", both_of_us__py="VALUE = 'working_dir'")
    with raylite.init(num_cpus=1):
        monkeypatch.syspath_prepend(folder(tmp_path / "later"))  # functions bring the changed path along
        assert raylite.get(value_of.remote("both_of_us")) == "driver"
        assert raylite.get(value_of.options(runtime_env={"working_dir": source}).remote("both_of_us")) == "working_dir"


def test_subprocesses_of_tasks_find_the_modules_too(one_cpu, tmp_path):
    source = folder(tmp_path / "source", ours__py="print('found')")

    @raylite.remote
    def run():
        import subprocess

        return subprocess.run([sys.executable, "-m", "ours"], cwd="/", capture_output=True, text=True).stdout

    assert raylite.get(run.options(runtime_env={"working_dir": source}).remote()) == "found\n"


def test_a_zip_file_is_unpacked(one_cpu, tmp_path):
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as file:
        file.writestr("inner/data.txt", "packed")
        file.writestr("packed_module.py", "VALUE = 'packed'")
    here = {"runtime_env": {"working_dir": str(tmp_path / "packed.zip")}}
    asked = read.options(**here).remote("inner/data.txt"), value_of.options(**here).remote("packed_module")
    assert raylite.get(list(asked)) == ["packed", "packed"]


def test_what_is_ignored_or_excluded_stays_behind(one_cpu, tmp_path):
    source = folder(tmp_path / "source", keep__txt="", secret__key="", scratch__tmp="", __gitignore="*.key\n")
    (tmp_path / "source" / "inner").mkdir()
    for name in ("keep.txt", "own.log", "scratch.tmp"):
        (tmp_path / "source" / "inner" / name).touch()
    (tmp_path / "source" / "inner" / ".rayignore").write_text("*.log\n")
    (tmp_path / "source" / ".git").mkdir()
    (tmp_path / "source" / "empty").mkdir()
    (tmp_path / "source" / "gone").mkdir()
    (tmp_path / "source" / "gone" / "x.txt").touch()
    (tmp_path / "source" / "loop").symlink_to(tmp_path / "source")

    @raylite.remote
    def listing():
        return sorted(str(path) for path in Path(".").rglob("*"))

    excluding = {"working_dir": source, "excludes": ["*.tmp", "/gone/"]}
    assert raylite.get(listing.options(runtime_env=excluding).remote()) == [
        ".gitignore",
        "empty",
        "inner",
        "inner/.rayignore",
        "inner/keep.txt",
        "keep.txt",
    ]


def test_files_that_can_be_run_still_can(one_cpu, tmp_path):
    source = folder(tmp_path / "source", run__sh="#!/bin/sh\necho ran")
    os.chmod(os.path.join(source, "run.sh"), 0o755)

    @raylite.remote
    def run():
        import subprocess

        return subprocess.run(["./run.sh"], capture_output=True, text=True).stdout

    assert raylite.get(run.options(runtime_env={"working_dir": source}).remote()) == "ran\n"


# ---- py_modules ----


def test_packages_files_and_imported_modules(one_cpu, tmp_path, monkeypatch):
    package = tmp_path / "some_package"
    folder(package, __init____py="from some_package.part import VALUE", part__py="VALUE = 'package'")
    (tmp_path / "single_file.py").write_text("VALUE = 'file'")
    folder(tmp_path / "of_driver", imported_one__py="VALUE = 'imported'")
    monkeypatch.syspath_prepend(str(tmp_path / "of_driver"))
    imported = importlib.import_module("imported_one")
    monkeypatch.undo()
    given = {"py_modules": [str(package), tmp_path / "single_file.py", imported]}
    asked = [
        value_of.options(runtime_env=given).remote(name) for name in ("some_package", "single_file", "imported_one")
    ]
    assert raylite.get(asked) == ["package", "file", "imported"]
    with pytest.raises(ModuleNotFoundError):
        raylite.get(value_of.remote("some_package"))
    del sys.modules["imported_one"]


def test_a_wheel_is_unpacked(one_cpu, tmp_path):
    wheel = tmp_path / "some_wheel-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("some_wheel/__init__.py", "VALUE = 'wheel'")
        file.writestr("some_wheel-1.0.dist-info/METADATA", "Name: some_wheel\nVersion: 1.0\n")
    assert raylite.get(value_of.options(runtime_env={"py_modules": [str(wheel)]}).remote("some_wheel")) == "wheel"


def test_the_modules_of_a_task_take_the_place_of_the_jobs(tmp_path):
    for name in ("of_job", "of_task"):
        (tmp_path / f"{name}.py").write_text(f"VALUE = '{name}'")
    with raylite.init(num_cpus=1, runtime_env={"py_modules": [str(tmp_path / "of_job.py")]}):
        there = value_of.options(runtime_env={"py_modules": [str(tmp_path / "of_task.py")]})
        assert raylite.get([value_of.remote("of_job"), there.remote("of_task")]) == ["of_job", "of_task"]
        with pytest.raises(ModuleNotFoundError):
            raylite.get(there.remote("of_job"))


# ---- what goes wrong ----


def test_paths_that_are_none_are_refused_at_the_call(one_cpu, tmp_path):
    with pytest.raises(ValueError, match=r"working_dir is '/nowhere/at/all'.*folder or of a .zip file"):
        read.options(runtime_env={"working_dir": "/nowhere/at/all"}).remote("x")
    with pytest.raises(ValueError, match=r"'/nowhere.txt' in py_modules is no folder, .py file or .whl"):
        read.options(runtime_env={"py_modules": ["/nowhere.txt"]}).remote("x")
    with pytest.raises(ValueError, match="module sys in py_modules is built in"):
        read.options(runtime_env={"py_modules": [sys]}).remote("x")


def test_the_path_of_a_job_is_refused_by_init():
    with pytest.raises(ValueError, match="working_dir is '/nowhere'"):
        raylite.init(num_cpus=1, runtime_env={"working_dir": "/nowhere"})
    assert not raylite.is_initialized()


@pytest.mark.parametrize(
    ("fields", "error", "text"),
    [
        ({"working_dir": ""}, ValueError, "it is empty"),
        ({"working_dir": "s3://bucket/x.zip"}, ValueError, "no path of this machine"),
        ({"py_modules": [3]}, TypeError, "3 is neither a path nor a module"),
        ({"env_vars": {"A=B": "1"}}, ValueError, "cannot be a variable"),
        ({"env_vars": {"A": "\0"}}, ValueError, "cannot be a variable"),
        ({"excludes": "x"}, TypeError, "in its field 'excludes', it is of type str"),
        ({"conda": "x"}, ValueError, "install it there"),
    ],
)
def test_wrong_fields_are_refused_at_once(fields, error, text):
    with pytest.raises(error, match=text):
        read.options(runtime_env=fields)


def test_a_folder_that_is_too_large_names_the_way_out(one_cpu, tmp_path):
    with open(tmp_path / "large", "wb") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(RuntimeEnvSetupError, match="more than 512 MiB; name in `excludes`"):
        read.options(runtime_env={"working_dir": str(tmp_path)}).remote("x")
    small = read.options(runtime_env={"working_dir": str(tmp_path), "excludes": ["large"]})
    (tmp_path / "x").write_text("small")
    assert raylite.get(small.remote("x")) == "small"


@pytest.mark.parametrize("member", ["../outside.txt", "/outside.txt"])
def test_a_zip_file_cannot_write_outside(one_cpu, tmp_path, member):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr(member, "x")
    with pytest.raises(RuntimeEnvSetupError, match="lies outside of it"):
        read.options(runtime_env={"working_dir": str(tmp_path / "evil.zip")}).remote("x")


def test_a_damaged_zip_file_is_named(one_cpu, tmp_path):
    (tmp_path / "bad.zip").write_bytes(b"no zip")
    with pytest.raises(RuntimeEnvSetupError, match=r"bad.zip' could not be copied: it cannot be unpacked"):
        read.options(runtime_env={"working_dir": str(tmp_path / "bad.zip")}).remote("x")


def test_if_the_copy_is_gone_tasks_fail_saying_so_and_others_go_on(one_cpu, tmp_path):
    source = folder(tmp_path / "source", name__txt="x")

    @raylite.remote(num_cpus=0)
    def lose_it():
        import shutil

        shutil.rmtree(os.getcwd())
        return raylite.get(variable.options(runtime_env=env(NEW="worker")).remote("NEW"))

    with pytest.raises(RuntimeEnvSetupError, match=r"Failed to set up runtime environment.(?s:.*)is not there"):
        raylite.get(lose_it.options(runtime_env={"working_dir": source}).remote())
    assert raylite.get(variable.remote("JOB")) == ["job"]


# ---- the simulator ----


def test_variables_in_the_simulator():
    with raylite.init(mode="sim", seed=3, runtime_env=env(JOB="job", BOTH="job")):
        asked = [variable.remote("BOTH"), variable.options(runtime_env=env(BOTH="task")).remote("JOB", "BOTH")]
        assert raylite.get(asked) == [["job"], ["job", "task"]]
        parent = in_child.options(runtime_env=env(BOTH="parent"))
        assert raylite.get(parent.remote(variable, "BOTH", "X", runtime_env=env(X="x"))) == ["parent", "x"]
    assert "JOB" not in os.environ
