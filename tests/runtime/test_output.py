"""What tasks write comes to the driver: all of it, tagged, on the stream it was written to."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.runtime import drivers

TAGGED = re.compile(r"\((?P<name>\S*) pid=(?P<pid>\d+)\) (?P<text>.*)")


def tagged(lines):
    """(name, pid, text) of each line that bears a tag."""
    return [(m["name"], int(m["pid"]), m["text"]) for m in map(TAGGED.fullmatch, lines) if m]


def texts(lines):
    return [text for _, _, text in tagged(lines)]


def test_a_hundred_thousand_lines_are_all_there_in_the_order_of_each_process(start):
    driver = start("""
@raylite.remote
def talk(k):
    for i in range(12_500):
        print(k, i)
        print(k, i, file=sys.stderr)
    return os.getpid()

raylite.init(num_cpus=2)
say("pids", *raylite.get([talk.remote(k) for k in range(4)]))
""")
    pids = [int(pid) for pid in driver.expect("pids").split()]
    driver.succeed()
    for lines in (driver.lines, driver.stderr.splitlines()):
        for k in range(4):
            said = [text for name, pid, text in tagged(lines) if pid == pids[k] and text.startswith(f"{k} ")]
            assert said == [f"{k} {i}" for i in range(12_500)]
        assert {name for name, _, _ in tagged(lines)} == {"talk"}
        assert len(tagged(lines)) == 50_000


def test_lines_bear_the_name_of_the_task_that_wrote_them(start):
    driver = start(
        """
@raylite.remote
def one():
    print("from one")
    return os.getpid()

@raylite.remote
def two(later):
    print("from two")
    sys.stderr.write("error of two\\\\n")
    return os.getpid()

raylite.init(num_cpus=1)
for _ in range(3):
    pids = raylite.get([one.remote(), two.remote(None), two.options(name="named").remote(None)])
say("pids", *pids)
""".replace("\\\\", "\\")
    )
    pids = [int(pid) for pid in driver.expect("pids").split()]
    driver.succeed()
    expected = [("one", "from one"), ("two", "from two"), ("named", "from two")]
    assert tagged(driver.lines) == [(name, pids[0], text) for name, text in expected] * 3
    assert tagged(driver.stderr.splitlines()) == [(name, pids[0], "error of two") for name in ("two", "named")] * 3


def test_output_of_other_processes_and_of_c_comes_too(start):
    driver = start("""
@raylite.remote
def others():
    print("python before")
    subprocess.run(["sh", "-c", "echo shell; echo shell error >&2"], check=True)
    os.write(1, b"written\\n")
    os.system("echo system")
    import ctypes
    libc = ctypes.CDLL(None)
    libc.printf(b"printed\\n")
    libc.printf(b"printed without end")
    return 5

raylite.init(num_cpus=1)
raylite.get(others.remote())
""")
    driver.succeed()
    assert texts(driver.lines) == ["python before", "shell", "written", "system", "printed", "printed without end"]
    assert texts(driver.stderr.splitlines()) == ["shell error"]


def test_a_shell_that_opens_its_output_anew(start):
    """`> /dev/stderr` truncates what is a file. What was shown before stays shown, and what follows comes."""
    driver = start("""
@raylite.remote
def scripts(go):
    print("before", "x" * 10000, file=sys.stderr)
    while not os.path.exists(go):
        time.sleep(0.001)
    subprocess.run(["sh", "-c", "echo script > /dev/stderr"], check=True)
    print("after", file=sys.stderr)

raylite.init(num_cpus=1)
ref = scripts.remote("go")
sys.stdin.readline()
open("go", "w").close()
raylite.get(ref)
""")
    driver.until(lambda: "before" in driver.stderr, "the first line is shown")
    driver.tell()
    driver.succeed()
    said = texts(driver.stderr.splitlines())
    assert said == ["before " + "x" * 10000, "script", "after"]


def test_partial_lines_bytes_and_long_lines(start):
    driver = start(
        r"""
@raylite.remote
def odd():
    sys.stdout.buffer.write(b"not \xff\xfe UTF-8\n")
    print("caf\u00e9 \u2713 \U0001f600")
    print()
    print("nul \0 and return \r here")
    print("long", "x" * 3_000_000)
    sys.stdout.write("no ")
    sys.stdout.flush()
    sys.stdout.write("end")

raylite.init(num_cpus=1)
raylite.get(odd.remote())
""",
        env={"PYTHONIOENCODING": "utf-8"},
    )
    driver.succeed()
    assert texts(driver.lines) == [
        "not �� UTF-8",
        "café ✓ \U0001f600",
        "",
        "nul \0 and return \r here",
        "long " + "x" * 3_000_000,
        "no end",
    ]


def test_a_driver_whose_output_cannot_say_everything(start):
    driver = start(
        """
@raylite.remote
def say_cafe():
    print("caf\\u00e9")

raylite.init(num_cpus=1)
raylite.get(say_cafe.remote())
""",
        env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
    )
    driver.succeed()
    assert texts(driver.lines) == ["caf\\xe9"]


def test_the_output_of_a_worker_that_was_not_heard_of_before_the_end(start):
    """A short program may end before its zygote's word that the worker has started is sent, or read. Here it is sent
    when the driver hangs up, and the thread that would read it then does not hear of it."""
    driver = start("""
import select
from raylite.runtime import zygote_process

def link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""

descriptors = []
hand_over = zygote_process.ZygoteProcess.hand_over

def hand_over_and_tell(self):
    descriptors.extend(hand_over(self))
    return tuple(descriptors)

zygote_process.ZygoteProcess.hand_over = hand_over_and_tell
zygote_process.CODE = zygote_process.CODE.replace("main()", '''
from raylite.runtime import zygote

report = zygote.Zygote.report

def report_late(self, kind, *rest):
    if kind == zygote.STARTED:
        zygote.wait_readable(self.control.fileno())
    report(self, kind, *rest)

zygote.Zygote.report = report_late
main()
''')

@raylite.remote
def speak():
    print("said")

raylite.init(num_cpus=1)
[poll] = [fd for fd in map(int, os.listdir("/proc/self/fd")) if link(fd) == "anon_inode:[eventpoll]"]
with select.epoll.fromfd(os.dup(poll)) as watched:
    for fd in descriptors:
        watched.unregister(fd)
raylite.get(speak.remote())
""")
    driver.succeed()
    assert texts(driver.lines) == ["said"]


def test_output_follows_what_the_driver_makes_of_its_streams(start):
    driver = start("""
import contextlib, io

@raylite.remote
def talk(x):
    print("heard", x)
    print("error", x, file=sys.stderr)

raylite.init(num_cpus=1)
text = io.StringIO()
with contextlib.redirect_stdout(text):
    raylite.get(talk.remote(1))
    while "heard 1" not in text.getvalue():
        time.sleep(0.001)
kept, sys.stdout = sys.stdout, None
raylite.get(talk.remote(2))
sys.stderr.close()
raylite.get(talk.remote(3))
raylite.shutdown()
sys.stdout = kept
""")
    driver.succeed()
    assert texts(driver.lines) == []
    assert "error 1" in driver.stderr


@pytest.mark.parametrize(("env", "length"), [({}, 20_000), ({"PYTHONUNBUFFERED": "1"}, 1000)])
def test_what_the_driver_prints_meanwhile_is_not_lost(start, env, length):
    """Nor mixed into other lines; where Python does not buffer, as far as the system writes to a pipe as one."""
    code = """
@raylite.remote
def talk():
    for _ in range(6_000_000 // LENGTH):
        print("x" * LENGTH)

raylite.init(num_cpus=2)
refs = [talk.remote() for _ in range(2)]
i = 0
while raylite.wait(refs, num_returns=2, timeout=0)[1]:
    say("own", i)
    i += 1
raylite.get(refs)
say("count", i)
"""
    driver = start(code.replace("LENGTH", str(length)), env=env)
    driver.finish()
    shown = [line.replace("x" * length, "X") for line in driver.lines]
    own = [line for line in shown if not TAGGED.fullmatch(line)]
    assert own == [f"own {i}" for i in range(len(own) - 1)] + [f"count {len(own) - 1}"]
    assert texts(shown) == ["X"] * (2 * 6_000_000 // length)


def test_a_pipe_that_does_not_block_its_writer(start):
    driver = start("""
@raylite.remote
def talk():
    for i in range(10_000):
        print(i, "x" * 100)

os.set_blocking(1, False)
raylite.init(num_cpus=1)
raylite.get(talk.remote())
raylite.shutdown()
""")
    driver.succeed()
    assert texts(driver.lines) == [f"{i} {'x' * 100}" for i in range(10_000)]


def test_log_to_driver_false_shows_nothing_and_keeps_nothing(start):
    driver = start("""
@raylite.remote
def talk():
    for _ in range(200):
        print("x" * 100_000)
        print("x" * 100, file=sys.stderr)
    return os.getpid()

raylite.init(num_cpus=1, log_to_driver=False)
say("pid", raylite.get(talk.remote()))
sys.stdin.readline()
""")
    pid = int(driver.expect("pid"))
    driver.until(lambda: held_bytes(pid, 1) <= 16384, "the output's memory is given back")
    driver.tell()
    driver.succeed()
    assert texts(driver.lines) == [] and driver.stderr == ""


def test_memory_of_shown_output_is_given_back(start):
    driver = start("""
@raylite.remote
def talk():
    for i in range(200):
        print("x" * 100_000)
    return os.getpid()

raylite.init(num_cpus=1)
say("pid", raylite.get(talk.remote()))
sys.stdin.readline()
""")
    pid = int(driver.expect("pid"))
    driver.hear("(talk", 200)
    driver.until(lambda: held_bytes(pid, 1) <= 16384, "the output's memory is given back")
    driver.tell()
    driver.succeed()


def held_bytes(pid, fd):
    """The memory behind a process's descriptor."""
    return os.stat(f"/proc/{pid}/fd/{fd}").st_blocks * 512


def test_output_of_a_worker_that_dies(start):
    driver = start("""
@raylite.remote(max_retries=0)
def dies():
    print("last line")
    os.write(2, b"partial last")
    os.kill(os.getpid(), 9)

raylite.init(num_cpus=1)
try:
    raylite.get(dies.remote())
except raylite.exceptions.WorkerCrashedError:
    say("crashed")
sys.stdin.readline()
""")
    driver.expect("crashed")
    driver.hear("(dies")
    driver.until(lambda: "(dies" in driver.stderr, "its last words are shown")
    driver.tell()
    driver.succeed()
    assert texts(driver.lines) == ["last line"]
    assert texts(driver.stderr.splitlines()) == ["partial last"]


def test_output_comes_while_the_driver_computes(start):
    driver = start("""
@raylite.remote
def talk():
    print("listen", flush=True)
    time.sleep(1000)

raylite.init(num_cpus=1)
ref = talk.remote()
say("computing")
i = 0
while not os.path.exists("go"):
    i += sum(range(100))
""")
    driver.expect("computing")
    driver.expect("(talk")
    (driver.temporary / "go").touch()
    driver.finish()


def test_output_of_what_a_task_left_running(start):
    """Nothing runs as far as the node knows; still it comes."""
    driver = start("""
@raylite.remote
def leave():
    subprocess.Popen(["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; echo late"])

raylite.init(num_cpus=1)
raylite.get(leave.remote())
say("idle")
sys.stdin.readline()
""")
    driver.expect("idle")
    (driver.temporary / "go").touch()
    driver.expect("(leave")
    (driver.temporary / "go").unlink()
    driver.tell()
    driver.succeed()
    assert texts(driver.lines) == ["late"]


@pytest.mark.parametrize("end", ["", "raylite.shutdown()", "sys.exit(0)"])
def test_output_is_shown_before_the_driver_ends(start, end):
    driver = start(f"""
@raylite.remote
def talk():
    for i in range(1000):
        print("line", i)
    sys.stdout.write("and a bit")

raylite.init(num_cpus=1)
raylite.get(talk.remote())
{end}
""")
    driver.succeed()
    assert texts(driver.lines) == [f"line {i}" for i in range(1000)] + ["and a bit"]


def test_a_driver_without_standard_streams(tmp_path):
    """All three closed: nothing of ours may come to lie where they were, in the workers least of all."""
    script = tmp_path / "script.py"
    script.write_text(
        drivers.PREAMBLE
        + """
@raylite.remote
def talk(x):
    print("heard", x)
    subprocess.run(["echo", "child"], check=True)
    return [os.fstat(fd).st_ino for fd in (0, 1, 2)], x

raylite.init(num_cpus=2)
results = raylite.get([talk.remote(i) for i in range(20)])
raylite.shutdown()
assert [x for _, x in results] == list(range(20))
assert all(len(set(inodes)) == 3 for inodes, _ in results)
open(sys.argv[1], "w").write("well")
"""
    )
    done = tmp_path / "done"
    command = f"exec {sys.executable} {script} {done} <&- >&- 2>&-"
    environment = {**os.environ, "PYTHONPATH": str(drivers.ROOT)}
    subprocess.run(["sh", "-c", command], env=environment, timeout=drivers.PATIENCE_S, check=True)
    assert done.read_text() == "well"
