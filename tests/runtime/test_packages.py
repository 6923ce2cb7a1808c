"""What runtime environments copy goes with the runtime, however that ends; and outlives the processes that use it."""

from __future__ import annotations

import os
import signal

import pytest

PROGRAM = """
os.mkdir("source")
open("source/data.txt", "w").write("data")

@raylite.remote
def read():
    open("scratch.txt", "w").write("x")
    return open("data.txt").read()

@raylite.remote
def workers_pid():
    return os.getpid()

raylite.init(num_cpus=1, runtime_env={"working_dir": "source"})
there = read.options(runtime_env={"working_dir": "source", "env_vars": {"A": "1"}})
assert raylite.get([read.remote(), there.remote()]) == ["data", "data"]
import shutil
shutil.rmtree("source")
[store] = os.listdir(".")
say("copied", *os.listdir(store))
"""


@pytest.mark.parametrize(
    "ending",
    [
        "raylite.shutdown()",
        "pass",
        "sys.exit(3)",
        "raise RuntimeError",
        "os._exit(0)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGKILL)",
    ],
)
def test_nothing_is_left_whatever_way_the_driver_ends(start, ending):
    driver = start(PROGRAM + ending)
    assert len(driver.hear("copied").split()) == 1  # the same content twice
    driver.finish()
    driver.assert_nothing_left()


def test_nothing_is_left_after_the_zygote_was_killed_and_tasks_go_on_meanwhile(start):
    driver = start(
        PROGRAM
        + """
sys.stdin.readline()
assert raylite.get([read.remote(), there.remote()]) == ["data", "data"]
say("again")
raylite.shutdown()
assert os.listdir(".") == []
"""
    )
    driver.hear("copied")
    os.kill(driver.zygote(), signal.SIGKILL)
    driver.tell()
    driver.hear("again")
    driver.succeed()
    driver.assert_nothing_left()


def test_nothing_is_left_if_the_zygote_cannot_see_to_it(start):
    driver = start(
        PROGRAM
        + """
sys.stdin.readline()
raylite.shutdown()
assert os.listdir(".") == []
"""
    )
    driver.hear("copied")
    os.kill(driver.zygote(), signal.SIGSTOP)
    driver.tell()
    driver.succeed()
    driver.assert_nothing_left()


def test_a_worker_that_died_is_followed_by_one_of_its_environment(start):
    driver = start(
        PROGRAM
        + """
@raylite.remote(max_retries=1)
def die_once():
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.environ["A"], open("data.txt").read()

again = die_once.options(runtime_env={"env_vars": {"A": "again"}})
assert raylite.get(again.remote()) == ("again", "data")
"""
    )
    driver.succeed()
    driver.assert_nothing_left()


def test_a_start_that_fails_leaves_nothing(start):
    driver = start("""
os.mkdir("source")
try:
    raylite.init(num_cpus=1, runtime_env={"working_dir": "source", "py_modules": ["nowhere"]})
except ValueError as error:
    say("refused", error)
os.rmdir("source")
assert os.listdir(".") == []
""")
    assert "'nowhere' in py_modules" in driver.hear("refused")
    driver.succeed()


def test_a_copy_is_whole_however_many_make_it_at_once(start):
    driver = start("""
os.mkdir("source")
for i in range(50):
    open(f"source/{i}", "w").write("x" * 100)

@raylite.remote(num_cpus=0)
def count():
    return len(os.listdir("."))

@raylite.remote(num_cpus=0)
def child(source, i):
    here = {"working_dir": source, "env_vars": {"I": str(i % 2)}}
    return raylite.get(count.options(runtime_env=here).remote())

raylite.init(num_cpus=2)
source = os.path.abspath("source")
assert raylite.get([child.remote(source, i) for i in range(20)]) == [50] * 20
[store] = [name for name in os.listdir(".") if name != "source"]
say("copies", len(os.listdir(store)))
import shutil
shutil.rmtree(source)
""")
    assert driver.hear("copies") == "1"
    driver.succeed()
    driver.assert_nothing_left()
