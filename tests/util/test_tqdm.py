"""Progress bars from inside tasks: drawn by the driver, apart from all else on its terminal, and tqdm in all they take."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import tqdm.auto

import raylite.util.tqdm
from tests.util.terminal import Terminal

BAR = re.compile(
    r"\((?P<task>\S+) pid=\d+\)(?P<name> [\w ]+)?: +(?P<percent>\d+)%\|[^|]*\| (?P<count>\d+/\d+) \[[^]]*\]"
)

WORK = """
from raylite.util.tqdm import tqdm, trange

@raylite.remote
def work(k, n=25):
    for i in tqdm(range(n), desc=f"bar {k}"):
        time.sleep(0.02)
        if i % 5 == 0:
            sys.stderr.write(f"item {k} {i}\\n")
    return k
"""


@pytest.fixture
def terminal():
    terminal = Terminal()
    yield terminal
    terminal.close()


def bars(lines):
    """(name, percent, count) of each line that is a bar of a task and nothing else."""
    found = [BAR.fullmatch(line) for line in lines]
    return sorted(((m["name"] or "").strip(), int(m["percent"]), m["count"]) for m in found if m)


def test_bars_of_tasks_a_bar_of_the_driver_and_lines_on_one_terminal(start, terminal):
    driver = start(
        WORK
        + """
raylite.init(num_cpus=2)
for ref in tqdm([work.remote(k) for k in range(4)], desc="driver"):
    raylite.get(ref)
""",
        stderr=terminal.fd,
    )
    driver.succeed()
    lines = terminal.screen()
    assert bars(lines) == [(f"bar {k}", 100, "25/25") for k in range(4)]
    said = sorted(line.partition(") ")[2] for line in lines if " item " in line)
    assert said == sorted(f"item {k} {i}" for k in range(4) for i in range(0, 25, 5))
    [ours] = [line for line in lines if line.startswith("driver: ")]
    assert " 4/4 [" in ours
    assert len(lines) == 4 + 20 + 1, "there is something else on the screen"


def test_bars_move_while_the_task_runs(start, terminal, tmp_path):
    """One that never ends is drawn nevertheless."""
    driver = start(
        """
@raylite.remote
def work(n):
    from raylite.util.tqdm import tqdm
    bar = tqdm(total=10, desc="open")
    bar.update(n)
    bar.refresh()
    time.sleep(60)

raylite.init(num_cpus=1)
ref = work.remote(3)
import tqdm.std
while not any("open" in bar.desc or "open" in str(bar) for bar in list(tqdm.std.tqdm._instances)):
    time.sleep(0.01)
while "3/10" not in str(*tqdm.std.tqdm._instances):
    time.sleep(0.01)
""",
        stderr=terminal.fd,
    )
    driver.succeed()
    assert bars(terminal.screen()) == [("open", 30, "3/10")]


def test_more_bars_than_fit_on_the_screen(start, terminal):
    driver = start(
        """
@raylite.remote
def work():
    from raylite.util.tqdm import tqdm
    many = [tqdm(total=2, desc=f"bar {k}") for k in range(70)]
    for _ in range(2):
        for bar in many:
            bar.update()
        time.sleep(0.2)
    for bar in many:
        bar.close()

raylite.init(num_cpus=1)
raylite.get(work.remote())
""",
        stderr=terminal.fd,
    )
    driver.succeed()
    assert bars(terminal.screen()) == sorted((f"bar {k}", 100, "2/2") for k in range(70))


def test_in_a_file_each_bar_is_a_line_of_text(start):
    driver = start(
        WORK
        + """
raylite.init(num_cpus=2)
raylite.get([work.remote(k) for k in range(3)])
"""
    )
    driver.succeed()
    assert "\r" not in driver.stderr
    assert "\x1b" not in driver.stderr
    assert "\x1e" not in driver.stderr
    assert bars(driver.stderr.splitlines()) == [(f"bar {k}", 100, "25/25") for k in range(3)]
    assert len(driver.stderr.splitlines()) == 3 + 15


def test_no_output_to_the_driver_no_bars(start, terminal):
    driver = start(
        WORK + "\nraylite.init(num_cpus=2, log_to_driver=False)\nsay('done', raylite.get(work.remote(7)))",
        stderr=terminal.fd,
    )
    assert driver.expect("done") == "7"
    driver.succeed()
    assert terminal.screen() == []


@pytest.mark.parametrize("stream", ["None", "closed", "io.StringIO()"])
def test_whatever_the_program_has_made_of_its_stderr(start, stream):
    driver = start(
        WORK
        + f"""
import io
closed = open(os.devnull, "w")
closed.close()
sys.stderr = stream = {stream}
raylite.init(num_cpus=2)
say("done", raylite.get(work.remote(7)))
raylite.shutdown()
say("seen", stream.getvalue().count("25/25") if isinstance(stream, io.StringIO) else 1)
"""
    )
    assert driver.expect("done") == "7"
    assert driver.expect("seen") == "1"
    driver.succeed()


def test_the_whole_interface_of_tqdm(start):
    driver = start("""
@raylite.remote
def work():
    from raylite.util.tqdm import tqdm, trange
    with tqdm(total=100, unit="B", unit_scale=True) as bar:
        bar.set_description("manual")
        bar.update(50)
        bar.set_postfix(loss=0.25)
        bar.n = 75
    with tqdm(total=4, desc="again") as bar:
        bar.update(4)
        bar.reset(total=2)
        bar.update(1)
    for _ in trange(3, desc="range", bar_format="{desc}: {n_fmt} of {total_fmt}", ascii=True):
        pass
    import numpy
    with tqdm(total=numpy.int64(8), desc="numpy") as bar:
        bar.update(numpy.int32(8))
    for _ in tqdm(iter("abc"), "no total"):
        pass
    list(tqdm([1, 2], "left out", leave=False))
    list(tqdm([1, 2], "disabled", disable=True))
    list(tqdm([1, 2], "on a terminal only", disable=None))
    list(tqdm([]))
    tqdm.write("between")
    import io
    own = io.StringIO()
    list(tqdm([1, 2], "own file", file=own))
    return own.getvalue()

raylite.init(num_cpus=1)
own = raylite.get(work.remote())
say("own", "own file: 100%" in own)
""")
    assert driver.expect("own") == "True"
    driver.succeed()
    texts = [re.sub(r"\(work pid=\d+\)", "@", line) for line in driver.stderr.splitlines()]
    texts = [re.sub(r"\[[^],]*, *[^],]*(, )?", "[", line) for line in texts]
    assert texts == [
        "@ manual:  75%|███████▌  | 75.0/100 [loss=0.25]",
        "@ again:  50%|█████     | 1/2 []",
        "@ range: 3 of 3",
        "@ numpy: 100%|██████████| 8/8 []",
        "@ no total: 3it []",
        "@: 0it []",
    ]
    assert any(line.endswith(") between") for line in driver.lines)


def test_a_flood_of_changes_is_not_a_flood_of_messages(start):
    driver = start("""
@raylite.remote
def work():
    from raylite.util.tqdm import tqdm
    writes = []
    write = os.write
    os.write = lambda fd, data: writes.append(data) or write(fd, data)
    try:
        with tqdm(total=20_000) as bar:
            for i in range(20_000):
                bar.update()
                bar.set_postfix(i=i)
    finally:
        os.write = write
    return len(writes)

raylite.init(num_cpus=1)
say("reports", raylite.get(work.remote()))
""")
    assert 2 <= int(driver.expect("reports")) < 500
    driver.succeed()
    assert "| 20000/20000 [" in driver.stderr
    assert "i=2e+4]" in driver.stderr


def test_the_bar_of_a_worker_that_died_ends_as_it_was_at_once(start, wait_until):
    driver = start("""
@raylite.remote(max_retries=0)
def work():
    from raylite.util.tqdm import tqdm
    for i in tqdm(range(4), desc="dying", mininterval=0):
        if i == 2:
            os._exit(1)

raylite.init(num_cpus=1)
try:
    raylite.get(work.remote())
except raylite.exceptions.WorkerCrashedError as error:
    say("crash", "\\x1e" in str(error), "dying" in str(error))
sys.stdin.readline()
""")
    assert driver.expect("crash") == "False False"
    wait_until(lambda: "dying" in driver.stderr)
    driver.tell()
    driver.succeed()
    [(name, percent, _)] = bars(driver.stderr.splitlines())
    assert (name, percent in (25, 50)) == ("dying", True)


def test_a_bar_that_nobody_closed_ends_with_its_task(start):
    driver = start("""
@raylite.remote
def work():
    from raylite.util.tqdm import tqdm
    for i in tqdm(range(4), desc="broken off", mininterval=0):
        if i == 1:
            raise ValueError

raylite.init(num_cpus=1)
try:
    raylite.get(work.remote())
except ValueError:
    pass
""")
    driver.succeed()
    assert bars(driver.stderr.splitlines()) == [("broken off", 25, "1/4")]


def test_a_lock_that_the_program_never_gives_back_stops_neither_output_nor_the_end(start, terminal):
    """A KeyboardInterrupt while tqdm draws leaves its lock taken."""
    driver = start(
        WORK
        + """
import threading
taken = threading.Event()
taker = threading.Thread(target=lambda: (tqdm.get_lock().acquire(), taken.set(), time.sleep(60)), daemon=True)
taker.start()
taken.wait()
raylite.init(num_cpus=2)
raylite.get(work.remote(0))
raylite.shutdown()
say("ended")
os._exit(0)
""",
        stderr=terminal.fd,
    )
    driver.expect("ended")
    driver.succeed()
    assert len([line for line in terminal.screen() if " item 0 " in line]) == 5


def test_in_the_driver_it_is_tqdm_itself():
    assert issubclass(raylite.util.tqdm.tqdm, tqdm.auto.tqdm)
    assert list(raylite.util.tqdm.trange(3, disable=True)) == [0, 1, 2]


def test_in_a_simulation_too(start):
    driver = start(WORK + "\nraylite.init(mode='sim', seed=1)\nsay('done', raylite.get(work.remote(7)))")
    assert driver.expect("done") == "7"
    driver.succeed()
    assert "bar 7: 100%" in driver.stderr


def test_without_tqdm_a_sentence_says_what_to_install():
    code = "import sys; sys.modules['tqdm'] = None; import raylite.util.tqdm"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'raylite[tqdm]'" in done.stderr.splitlines()[-1]
