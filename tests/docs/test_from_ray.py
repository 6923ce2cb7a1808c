"""The migration guide, line by line: what it says is the same is there, what is absent raises with the reason it gives,
and each behaviour is as it says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from operator import attrgetter

import numpy as np
import pytest

import raylite
from raylite import absent, exceptions
from raylite.options import ACTOR_OPTIONS, TASK_OPTIONS
from tests.api.test_ray_names import ABSENT_MEMBERS, MEMBERS, NAMES
from tests.docs.pages import ROOT, section, table_with

GUIDE = "docs/from-ray.md"
REASONS = {**absent.MODULES, **absent.NAMES, **absent.CALLS}
SECTIONS = {
    "Names of `ray`": "raylite",
    "Names of `ray.util`": "raylite.util",
    "Names of `ray.util.state`": "raylite.util.state",
    "Members of `ray.runtime_context.RuntimeContext`": "raylite.runtime_context.RuntimeContext",
    "Members of other classes": "raylite",
}


def lines():
    """Full name, status and reason of each name in the tables."""
    for heading, home in SECTIONS.items():
        for row in table_with(section(GUIDE, heading), "name", "in raylite", "why"):
            for name in re.findall(r"`([^`]+)`", row["name"]):
                yield f"{home}.{name}", row["in raylite"], row["why"]


LINES = list(lines())
BEHAVIOUR = [
    (row["what"], row["in raylite"]) for row in table_with(section(GUIDE, "Behaviour"), "what", "in raylite", "why")
]


def looked_up(full_name):
    __import__("raylite.runtime_context")
    return attrgetter(full_name.removeprefix("raylite."))(raylite)


def test_each_name_has_one_line():
    names = [name for name, _, _ in LINES]
    assert sorted(names) == sorted(set(names))
    wanted = {name for name in NAMES if name.rpartition(".")[0] in ("raylite", "raylite.util", "raylite.util.state")}
    wanted |= {name for name in MEMBERS if ".RuntimeContext." in name}
    wanted |= {f"raylite.{name}" for name in ABSENT_MEMBERS if not name.startswith("ObjectID.")}
    assert wanted <= set(names)
    assert set(REASONS) <= set(names)


@pytest.mark.parametrize("name, status, why", LINES, ids=[name for name, _, _ in LINES])
def test_a_line_is_true(name, status, why):
    if status in ("same", "different"):
        assert status == "same" or why
        assert name not in REASONS
        home, _, member = name.rpartition(".")
        assert hasattr(looked_up(home), member) if home != "raylite" else looked_up(name) is not None
        return
    assert status == "absent" and why
    if name in absent.CALLS:
        with pytest.raises(NotImplementedError, match=f"^{re.escape(f'{name}: {why}.')}$"):
            looked_up(name)(
                *["x"] * looked_up(name).__code__.co_argcount if hasattr(looked_up(name), "__code__") else []
            )
    elif name in REASONS:
        assert REASONS[name] == why
        home, _, member = name.rpartition(".")
        holder = raylite if home == "raylite" else looked_up(home)
        with pytest.raises(AttributeError, match=f": {re.escape(why)}$"):
            getattr(holder() if isinstance(holder, type) else holder, member)
    else:
        assert name.removeprefix("raylite.") in ABSENT_MEMBERS
        with pytest.raises(AttributeError):
            looked_up(name)


def test_the_options_without_effect():
    rows = table_with(section(GUIDE, "Options of tasks and actors"), "option", "why")
    listed = {row["option"].strip("`"): row["why"] for row in rows}
    options = {**TASK_OPTIONS, **ACTOR_OPTIONS}
    assert listed == {name: option.no_effect for name, option in options.items() if option.no_effect}


# ---- behaviour: a check for each line ----

CHECKS = {}


def line(what):
    """The decorated function checks the line that begins so."""

    def note(check):
        [full] = [row for row, _ in BEHAVIOUR if row.startswith(what)]
        assert full not in CHECKS
        CHECKS[full] = check
        return check

    return note


@pytest.fixture(scope="module")
def running(raylite_2cpu_module):
    yield


def test_each_behaviour_has_its_check():
    assert [what for what, _ in BEHAVIOUR] == [what for what, _ in BEHAVIOUR if what in CHECKS]
    assert {status for _, status in BEHAVIOUR} == {"same", "different", "absent"}


@pytest.mark.parametrize("what", [what for what, _ in BEHAVIOUR])
def test_behaviour(running, what, tmp_path):
    check = CHECKS[what]
    check(tmp_path) if check.__code__.co_argcount else check()


def program(folder, text, **variables):
    """A program of its own, run by Python; its output and errors."""
    (folder / "program.py").write_text(f"import sys\nimport raylite as ray\n{text}")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAYLITE_")}
    done = subprocess.run(
        [sys.executable, "program.py", "argument"],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@raylite.remote
def same(x=None):
    return x


class Mine(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second


@raylite.remote
def fails():
    raise Mine(1, 2)


@raylite.remote
def waits_for(refs):
    return raylite.get(refs[0])


@line("a reference that is an argument")
def _():
    @raylite.remote
    def kinds(value, container):
        return type(value), type(container[0])

    assert raylite.get(kinds.remote(raylite.put(1), [raylite.put(1)])) == (int, raylite.ObjectRef)


@line("arguments that do not fit")
def _():
    with pytest.raises(TypeError, match=r"takes from 0 to 1 positional arguments but 2 were given"):
        same.remote(1, 2)


@line("what a task raises")
def _():
    with pytest.raises(Mine) as caught:
        raylite.get(fails.remote())
    assert isinstance(caught.value, exceptions.RayTaskError)


@line("`sys.exit` in a task")
def _():
    @raylite.remote(max_retries=0)
    def leaves():
        sys.exit(1)

    with pytest.raises(exceptions.WorkerCrashedError):
        raylite.get(leaves.remote())


@line("what a task leaves in globals")
def _():
    @raylite.remote
    def count():
        sys.counted = getattr(sys, "counted", 0) + 1
        return os.getpid(), sys.counted

    seen = {}
    for pid, n in raylite.get([count.remote() for _ in range(20)]):
        seen.setdefault(pid, []).append(n)
    assert all(sorted(counts) == list(range(1, len(counts) + 1)) for counts in seen.values())
    assert max(map(len, seen.values())) > 1


@line("a task that is cancelled")
def _():
    waiting = same.options(resources={"nowhere": 1}).remote()
    raylite.cancel(waiting)
    with pytest.raises(exceptions.TaskCancelledError):
        raylite.get(waiting)


@line("a generator function streams")
def _():
    @raylite.remote
    def items():
        yield 1
        raise Mine(1, 2)

    first, second = items.remote()
    assert raylite.get(first) == 1
    with pytest.raises(Mine):
        raylite.get(second)


@line("`get` after `timeout`")
def _():
    waiting = same.options(resources={"nowhere": 1}).remote()
    with pytest.raises(TimeoutError) as caught:
        raylite.get(waiting, timeout=0)
    assert type(caught.value) is exceptions.GetTimeoutError
    raylite.cancel(waiting)


@raylite.remote
class State:
    def __init__(self, start=0):
        self.seen = [start]
        self.going = 0

    def note(self, x):
        self.seen.append(x)
        return self.seen

    def leave(self):
        raylite.actor.exit_actor()

    @property
    def size(self):
        return len(self.seen)


class Waiting:
    def __init__(self):
        self.n = 0

    async def meet(self, n):
        self.n += 1
        while self.n < n:
            await asyncio.sleep(0)
        return self.n


class Unmade:
    def __init__(self):
        raise Mine(1, 2)

    def note(self, x):
        pass


@line("an actor's calls of one caller")
def _():
    state = State.remote(0)
    assert raylite.get([state.note.remote(i) for i in range(1, 50)])[-1] == list(range(50))


@line("an actor ends with its last handle")
def _():
    for end in (raylite.kill, lambda state: raylite.wait([state.leave.remote()])):
        state = State.remote()
        raylite.get(state.note.remote(1))
        end(state)
        with pytest.raises(exceptions.ActorDiedError):
            raylite.get(state.note.remote(2))
    name, kept = "ends with its handle", State.options(name="ends with its handle").remote()
    raylite.get(kept.note.remote(1))
    del kept
    deadline = time.monotonic() + 10
    while name in raylite.util.list_named_actors():
        assert time.monotonic() < deadline


@line("an actor whose `__init__` raises")
def _():
    with pytest.raises(exceptions.ActorDiedError, match="Mine"):
        raylite.get(raylite.remote(Unmade).remote().note.remote(1))


@line("the name of an actor that is taken")
def _():
    kept = State.options(name="taken").remote()
    with pytest.raises(ValueError) as caught:
        State.options(name="taken").remote()
    assert type(caught.value) is exceptions.ActorAlreadyExistsError
    assert raylite.get_actor("taken") == kept


@line("`async def` methods")
def _():
    waiting = raylite.remote(Waiting).remote()
    assert raylite.get([waiting.meet.remote(5) for _ in range(5)], timeout=20) == [5] * 5


@line("a class derived from an actor class")
def _():
    with pytest.raises(TypeError):

        class Derived(State):
            pass


@line("`@method` without options")
def _():
    with pytest.raises(TypeError):
        raylite.method(lambda self: 1)


@line("`max_concurrency=0`")
def _():
    with pytest.raises(ValueError):
        State.options(max_concurrency=0)


@line("a property, or an attribute")
def _():
    state = State.remote()
    with pytest.raises(AttributeError, match="add a method that returns it"):
        state.size  # noqa: B018
    with pytest.raises(AttributeError, match="have no method 'seen'; they have"):
        state.seen  # noqa: B018


@line("detached actors")
def _(folder):
    text = """
@ray.remote
class A:
    def f(self): return 1
ray.get(A.options(name="a", lifetime="detached").remote().f.remote())
print(ray.util.list_named_actors())
ray.shutdown()
ray.init()
print(ray.util.list_named_actors())
"""
    assert program(folder, text)[0] == "['a']\n[]\n"


@line("large arrays are views")
def _():
    ref = raylite.put(np.zeros(10_000))
    assert not raylite.get(ref).flags.writeable
    assert raylite.get(ref).ctypes.data == raylite.get(ref).ctypes.data


@line("the first `.remote()` or `put` starts")
def _(folder):
    assert program(folder, "print(ray.is_initialized()); ray.put(1); print(ray.is_initialized())")[0] == "False\nTrue\n"


@line("`init` a second time")
def _():
    with pytest.raises(RuntimeError):
        raylite.init()
    with pytest.raises(RuntimeError):
        raylite.get(raylite.remote(raylite.init).remote())


@line("a task that nothing can run")
def _(folder):
    text = """
import time
ray.init(num_cpus=1)
@ray.remote(num_cpus=3)
def f(): pass
print(len(ray.wait([f.remote()], timeout=2)[1]))
"""
    output, errors = program(folder, text)
    assert output == "1\n"
    assert len(re.findall("No node can run f: it asks for 3 CPU", errors)) == 1


@line('`init(address="auto")`')
def _(folder):
    text = "try: ray.init(address='auto')\nexcept ConnectionError: print('none')"
    assert program(folder, text)[0] == "none\n"


@line("small arrays")
def _():
    ref = raylite.put(np.zeros(10))
    one = raylite.get(ref)
    one[0] = 1
    assert raylite.get(ref)[0] == 0
    assert raylite.get(raylite.put(np.zeros(4095, np.uint8))).flags.writeable
    assert not raylite.get(raylite.put(np.zeros(4096, np.uint8))).flags.writeable


@line("an exception whose `__init__`")
def _():
    with pytest.raises(Mine) as caught:
        raylite.get(fails.remote())
    assert (caught.value.args, caught.value.second) == ((1,), 2)


@line("errors say more")
def _():
    with pytest.raises(ValueError, match=r"option num_cpus is -1: it is negative\. It takes"):
        same.options(num_cpus=-1)


@line("an error that passes through tasks")
def _():
    with pytest.raises(Mine) as caught:
        raylite.get(waits_for.remote([fails.remote()]))
    assert str(caught.value).count("Traceback (most recent call last)") <= 1
    assert "and with it waits_for()" in str(caught.value)


@line("`get` of a tuple")
def _():
    assert raylite.get((raylite.put(1), raylite.put(2))) == [1, 2]


@line("`get` with a timeout below 0")
def _():
    with pytest.raises(ValueError):
        raylite.get(raylite.put(1), timeout=-1)


@line("`wait` with a `num_returns`")
def _():
    with pytest.raises(TypeError):
        raylite.wait([raylite.put(1)], num_returns=1.0)


@line("`@remote()` without options")
def _():
    with pytest.raises(TypeError):
        raylite.remote()


@line("`num_gpus=1.5`")
def _():
    with pytest.raises(ValueError):
        same.options(num_gpus=1.5)


@line("a field of `runtime_env`")
def _():
    with pytest.raises(ValueError, match="it has no field 'nonsense'"):
        same.options(runtime_env={"nonsense": 1})


@line("`get` after `shutdown`")
def _(folder):
    text = """
ref = ray.put(1)
ray.shutdown()
try: ray.get(ref)
except ray.exceptions.RaySystemError: print("gone")
"""
    assert program(folder, text)[0] == "gone\n"


@line('`num_returns="dynamic"`')
def _():
    @raylite.remote(num_returns="dynamic")
    def two():
        yield 1
        yield 2

    made = two.remote()
    assert isinstance(made, raylite.DynamicObjectRefGenerator)
    assert [raylite.get(ref) for ref in raylite.get(made)] == [1, 2]


@line("remote functions have `__name__`")
def _():
    def documented():
        """What it does."""

    remote = raylite.remote(documented)
    assert (remote.__name__, remote.__doc__, remote.__wrapped__) == ("documented", "What it does.", documented)


@line("in a task `sys.argv`")
def _(folder):
    assert program(folder, "print(ray.get(ray.remote(lambda: sys.argv).remote()))")[0] == "['program.py', 'argument']\n"


@line("the namespace is 'anonymous'")
def _():
    assert raylite.get_runtime_context().namespace == "anonymous"


@line("`init` prints nothing")
def _(folder):
    assert program(folder, "print(sorted(ray.init()))") == ("['address', 'mode', 'namespace', 'node_id']\n", "")


@line("`ray list ...`")
def _():
    command = [sys.executable, "-m", "raylite", "list", "nodes", "--address", f"{os.getpid()}", "--format"]
    done = subprocess.run([*command, "json"], capture_output=True, text=True, timeout=40, cwd=ROOT)
    [node] = json.loads(done.stdout)
    assert node["node_id"] == raylite.nodes()[0]["NodeID"]
    assert "'yaml' is not one of" in subprocess.run([*command, "yaml"], capture_output=True, text=True, cwd=ROOT).stderr


@line("variables are `RAYLITE_*`")
def _(folder):
    text = "ray.init(); print(ray.cluster_resources()['CPU'], ray.get_runtime_context().namespace)"
    variables = {"RAYLITE_NUM_CPUS": "3", "RAY_NAMESPACE": "other", "RAY_ADDRESS": "10.0.0.1:6379"}
    assert program(folder, text, **variables) == ("3.0 anonymous\n", "")


@line("a full object store")
def _(folder):
    text = """
ray.init(num_cpus=1, object_store_memory=1 << 20, object_spilling_directory=".")
try: ray.put(bytes(1 << 22))
except ray.exceptions.ObjectStoreFullError: print("full")
refs = [ray.put(bytes([number]) * (1 << 18)) for number in range(16)]
print([ray.get(ref)[0] for ref in refs] == list(range(16)))
"""
    assert program(folder, text)[0] == "full\nTrue\n"


@line("ids: 20 bytes")
def _():
    ref = raylite.put(1)
    assert (len(ref.binary()), len(ref.task_id().binary())) == (20, 16)


@line("lazy graphs")
def _():
    with pytest.raises(AttributeError, match="references make the graph"):
        same.bind(1)
    with pytest.raises(NotImplementedError):
        State.bind()


@line("`init(local_mode=True)`")
def _(folder):
    text = "try: ray.init(local_mode=True)\nexcept ValueError as error: print('Ray no longer has it' in str(error))"
    assert program(folder, text)[0] == "True\n"


@line("`runtime_env` with `pip`")
def _():
    for field in ("pip", "conda", "container"):
        with pytest.raises(ValueError, match="is not supported"):
            same.options(runtime_env={field: ["x"]})
