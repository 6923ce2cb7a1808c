"""What a task finds around it: environment, folder, path, arguments, signals, descriptors, descent."""

from __future__ import annotations

import os

import pytest

from tests.runtime import drivers

COMMON = """
@raylite.remote
def look(what):
    return eval(what, {"os": os, "sys": sys, "signal": __import__("signal")})

def in_worker(what):
    return raylite.get(look.remote(what))

"""


def test_environment_folder_path_and_arguments_are_the_drivers(start, tmp_path):
    driver = start(
        COMMON
        + f"""
os.environ["OF_THE_DRIVER"] = "set before init"
os.environ.pop("GIVEN", None)
os.chdir({str(tmp_path)!r})
sys.path.insert(0, "relative/folder")
sys.path.append("/somewhere/else")
sys.argv.append("appended")
raylite.init(num_cpus=1)
assert in_worker("dict(os.environ)")["OF_THE_DRIVER"] == "set before init"
assert in_worker("os.environ.get('GIVEN')") is None
assert in_worker("os.getcwd()") == {str(tmp_path)!r}
assert in_worker("sys.path") == sys.path, (in_worker("sys.path"), sys.path)
assert in_worker("sys.argv") == sys.argv and sys.argv[1:] == ["one", "two words", "appended"]
assert in_worker("sys.executable") == sys.executable
assert in_worker("sys.flags.hash_randomization") == 1
""",
        arguments=["one", "two words"],
        env={"GIVEN": "taken away"},
    )
    driver.succeed()


def test_variables_of_the_runtime_env(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1, runtime_env={"env_vars": {"MINE": "1", "HOME": "/nowhere"}})
assert in_worker("(os.environ['MINE'], os.environ['HOME'])") == ("1", "/nowhere")
assert subprocess.run(["sh", "-c", "echo $MINE"], stdout=subprocess.PIPE).stdout == b"\\n"
"""
    )
    driver.succeed()


def test_settings_of_any_size(start):
    """A search path and arguments of several megabytes: more than a socket takes at once."""
    driver = start(
        COMMON
        + """
sys.path += ["/long/" + "x" * 3000 + str(i) for i in range(1000)]
sys.argv += ["y" * 1_000_000]
raylite.init(num_cpus=1)
assert in_worker("sys.path") == sys.path
assert in_worker("len(sys.argv[-1])") == 1_000_000
"""
    )
    driver.succeed()


@pytest.mark.parametrize(("given", "seen"), [(None, "1"), ("7", "7")])
def test_threads_of_numerical_libraries(start, given, seen):
    driver = start(
        COMMON
        + f"""
os.environ.pop("OMP_NUM_THREADS", None)
if {given!r}:
    os.environ["OMP_NUM_THREADS"] = {given!r}
raylite.init(num_cpus=2)
assert in_worker("os.environ['OMP_NUM_THREADS']") == {seen!r}
assert os.environ.get("OMP_NUM_THREADS") == {given!r}
"""
    )
    driver.succeed()


def test_signals_are_as_in_a_fresh_process(start):
    """Nothing blocked, nothing ignored that Python does not ignore, whatever the driver has done."""
    driver = start(
        COMMON
        + """
signal.signal(signal.SIGTERM, lambda *_: None)
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGCHLD, signal.SIGINT])
raylite.init(num_cpus=1)
assert in_worker("list(signal.pthread_sigmask(signal.SIG_BLOCK, []))") == []
state = in_worker("open('/proc/self/status').read()")
fields = dict(line.split(":\\t") for line in state.splitlines() if line.startswith("Sig"))
assert int(fields["SigBlk"], 16) == 0, fields
ignored = {n for n in range(1, 32) if int(fields["SigIgn"], 16) >> (n - 1) & 1}
assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}, ignored
caught = {n for n in range(1, 32) if int(fields["SigCgt"], 16) >> (n - 1) & 1}
fatal = {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV}  # their stacks are told
assert caught == fatal | {signal.SIGINT}, caught  # SIGINT: how a task is cancelled
for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGCHLD", "SIGUSR1"):
    assert in_worker(f"signal.getsignal(signal.{name})") == signal.SIG_DFL, name
code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.pthread_sigmask(0, []))"

@raylite.remote
def child():
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True).stdout

assert raylite.get(child.remote()) == "True set()\\n"
"""
    )
    driver.succeed()


def test_standard_input_is_empty_and_output_is_kept(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=1)
assert in_worker("sys.stdin.read()") == ""
assert in_worker("os.read(0, 10)") == b""
links = in_worker("[os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]")
assert links == ["/dev/null", "/memfd:raylite-stdout (deleted)", "/memfd:raylite-stderr (deleted)"], links
assert in_worker("[os.get_inheritable(fd) for fd in (0, 1, 2)]") == [True, True, True]
assert in_worker("sys.stdout.encoding") == in_worker("sys.stderr.encoding") == "utf-8"
""",
        env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    )
    driver.tell("not for the worker")
    driver.succeed()


def test_workers_have_only_their_own_descriptors(start):
    """None of the driver's, inheritable or not, none of another worker's, and no descendant gets any of theirs."""
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)
    try:
        driver = start(
            COMMON
            + """
code = "import os; print(sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"

@raylite.remote
def child():
    return subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, close_fds=False).stdout

os.set_inheritable(os.pipe()[1], True)
raylite.init(num_cpus=2)
raylite.get([child.remote() for _ in range(4)])
links = in_worker("[os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}') or int(fd) > 2 and os.path.lexists(f'/proc/self/fd/{fd}')]")
assert not [link for link in links if link.startswith("pipe:")], links
assert sum("memfd:raylite-channel" in link for link in links) == 1, links
assert sum(link.startswith("socket:") for link in links) == 1, links
assert raylite.get(child.remote()) == "[0, 1, 2]\\n", raylite.get(child.remote())
""",
            pass_fds=[write_end],
        )
        driver.succeed()
    finally:
        os.close(read_end)
        os.close(write_end)


def test_pipes_that_the_driver_closes_are_closed(start):
    """Nothing of the runtime's keeps the other end of an inheritable pipe open."""
    driver = start(
        COMMON
        + """
read_end, write_end = os.pipe()
os.set_inheritable(write_end, True)
raylite.init(num_cpus=1)
in_worker("1")
os.close(write_end)
assert os.read(read_end, 1) == b""
"""
    )
    driver.succeed()


def test_the_zygote_is_small_and_alone_in_its_process(start):
    driver = start(
        COMMON
        + """
import numpy
raylite.init(num_cpus=1)
modules = set(in_worker("list(sys.modules)"))
assert not modules & {"numpy", "cloudpickle", "random", "asyncio", "multiprocessing", "logging", "ssl"}, modules
say("ready")
sys.stdin.readline()
"""
    )
    driver.expect("ready")
    zygote = driver.zygote()
    assert len(os.listdir(f"/proc/{zygote}/task")) == 1
    assert len(os.listdir(f"/proc/{zygote}/fd")) <= 3 + 6
    assert os.getpgid(zygote) == zygote
    for worker in driver.workers():
        assert os.getpgid(worker) == worker
    names = [drivers.read(pid, "comm").decode().strip() for pid in driver.others()]
    assert sorted(names) == ["raylite-worker", "raylite-zygote"]
    driver.tell()
    driver.succeed()


def test_random_numbers_differ_from_worker_to_worker(start):
    driver = start("""
@raylite.remote
def draw():
    import random, uuid, numpy
    time.sleep(0.05)
    return os.getpid(), random.random(), uuid.uuid4().hex, numpy.random.rand(), os.urandom(8)

raylite.init(num_cpus=4)
draws = {d[0]: d[1:] for d in raylite.get([draw.remote() for _ in range(8)])}
assert len(draws) >= 2
for column in zip(*draws.values()):
    assert len(set(column)) == len(draws), column
""")
    driver.succeed()


def test_a_hundred_workers(start, tmp_path):
    driver = start(f"""
@raylite.remote
def meet(n):
    open(os.path.join({str(tmp_path)!r}, f"met-{{os.getpid()}}"), "w").close()
    while sum(name.startswith("met-") for name in os.listdir({str(tmp_path)!r})) < n:
        time.sleep(0.02)
    return os.getpid()

raylite.init(num_cpus=100, worker_cap=100)
assert len(set(raylite.get([meet.remote(100) for _ in range(100)]))) == 100
say("met")
sys.stdin.readline()
raylite.shutdown()
say("down")
sys.stdin.readline()
""")
    driver.expect("met", 50)
    driver.tell()
    driver.expect("down", drivers.GRACE_S)
    driver.assert_nothing_left(alive=True)
    driver.tell()
    driver.succeed()


def test_no_more_workers_than_the_cap(start):
    driver = start(
        COMMON
        + """
raylite.init(num_cpus=50, worker_cap=3)

@raylite.remote
def pid():
    time.sleep(0.01)
    return os.getpid()

assert len(set(raylite.get([pid.remote() for _ in range(60)]))) <= 3
"""
    )
    driver.succeed()
