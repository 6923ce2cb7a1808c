"""The ways in which people start programs: all of them work, and leave nothing."""

from __future__ import annotations

import os
import pty
import select
import sys
import time

import pytest

from tests.runtime import drivers

PROGRAM = """
import os
import raylite

OFFSET = 10

class Point:
    def __init__(self, x):
        self.x = x

def helper(x):
    return x + OFFSET

@raylite.remote
def plain(x):
    return x * x

@raylite.remote
def uses_main(x):
    return Point(helper(x))

@raylite.remote
def recursive(n):
    return 1 if n == 0 else n * raylite.get(recursive.remote(n - 1))

assert raylite.get([plain.remote(i) for i in range(4)]) == [0, 1, 4, 9]
point = raylite.get(uses_main.remote(1))
assert type(point) is Point and point.x == 11
assert raylite.get(recursive.remote(4)) == 24
assert raylite.get((lambda f: f.remote())(raylite.remote(lambda: os.getcwd()))) == FOLDER
print("worked", flush=True)
"""
IN_A_FOLDER = PROGRAM.replace("FOLDER", "os.getcwd()")


def worked(driver):
    lines = driver.succeed()
    assert "worked" in lines, driver.story()
    assert driver.stderr == ""
    driver.assert_nothing_left()


def test_a_script_without_a_main_guard(run, tmp_path):
    (tmp_path / "script.py").write_text(IN_A_FOLDER)
    worked(run([sys.executable, str(tmp_path / "script.py")]))


def test_code_on_the_command_line(run):
    worked(run([sys.executable, "-c", IN_A_FOLDER]))


@pytest.mark.parametrize("arguments", [[], ["-"]])
def test_a_program_on_standard_input(run, arguments):
    driver = run([sys.executable, *arguments])
    driver.process.stdin.write(IN_A_FOLDER.encode())
    driver.process.stdin.close()
    worked(driver)


def test_a_module_of_a_package(run, tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "other.py").write_text("import raylite\n@raylite.remote\ndef three():\n    return 3\n")
    code = "import raylite\nfrom package.other import three\nfrom . import other\n"
    code += "assert raylite.get(three.remote()) == 3\n"
    (package / "module.py").write_text(code + IN_A_FOLDER)
    driver = run([sys.executable, "-m", "package.module"], cwd=tmp_path)
    worked(driver)


def test_a_module_beside_the_script(run, tmp_path):
    (tmp_path / "beside.py").write_text("class Thing:\n    pass\ndef make():\n    return Thing()\n")
    code = """
import beside, raylite

@raylite.remote
def make():
    return beside.make()

assert type(raylite.get(make.remote())) is beside.Thing
assert type(raylite.get(raylite.remote(beside.make).remote())) is beside.Thing
print("worked", flush=True)
"""
    (tmp_path / "script.py").write_text(code)
    worked(run([sys.executable, str(tmp_path / "script.py")]))


def test_modules_of_the_users_do_not_take_the_place_of_others(run):
    """A file in the folder the program is started from, named as a module that the zygote imports."""
    for name in ("select", "marshal", "cloudpickle", "numpy", "types", "contextvars", "raylite"):
        code = "raise ImportError('the wrong module was imported')"
        driver_code = "import sys; sys.path.remove('')\n" + IN_A_FOLDER
        if name == "select":
            driver = run([sys.executable, "-c", driver_code])
        (driver.temporary / f"{name}.py").write_text(code)
    driver.process.stdin.close()
    lines = driver.succeed()
    assert "worked" in lines


def test_the_folder_the_program_is_in_was_deleted(run, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    code = "import os, shutil; shutil.rmtree(os.getcwd())\n"
    code += PROGRAM.replace("raylite.remote(lambda: os.getcwd())", "raylite.remote(lambda: 5)").replace("FOLDER", "5")
    worked(run([sys.executable, "-c", code], cwd=folder))


def test_python_options(run):
    worked(run([sys.executable, "-O", "-B", "-X", "dev", "-W", "ignore", "-s", "-c", IN_A_FOLDER]))


def test_code_run_cell_by_cell(run):
    """As Jupyter does: exec in one namespace, functions and classes redefined under the same name."""
    code = """
import __main__, ast, linecache

def run_cell(number, source):
    name = f"<ipython-input-{number}>"
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    exec(compile(source, name, "exec"), __main__.__dict__)

cells = ['''
import raylite

@raylite.remote
def f(x):
    return x + 1

class Thing:
    version = 1
''', '''
assert raylite.get(f.remote(1)) == 2
''', '''
@raylite.remote
def f(x):
    return x + 100

class Thing:
    version = 2

@raylite.remote
def make():
    return Thing()
''', '''
assert raylite.get(f.remote(1)) == 101
assert type(raylite.get(make.remote())) is Thing and raylite.get(make.remote()).version == 2
''', '''
@raylite.remote
def fails():
    raise ValueError("in a cell")
''', '''
try:
    raylite.get(fails.remote())
except ValueError as error:
    assert "in a cell" in str(error) and "<ipython-input-4>" in str(error), error
print("worked", flush=True)
''']
for number, source in enumerate(cells):
    run_cell(number, source)
"""
    worked(run([sys.executable, "-c", code]))


def test_ipython(run):
    pytest.importorskip("IPython")
    driver = run([sys.executable, "-m", "IPython", "--no-banner", "--quick", "--colors=NoColor", "-i"])
    driver.tell("import raylite")
    driver.tell("f = raylite.remote(lambda x: x + 1)")
    driver.tell("print('first', raylite.get(f.remote(1)), flush=True)")
    driver.tell("f = raylite.remote(lambda x: x + 100)")
    driver.tell("print('second', raylite.get(f.remote(1)), flush=True)")
    driver.tell("exit()")
    lines = driver.succeed()
    assert any("first 2" in line for line in lines) and any("second 101" in line for line in lines), driver.story()
    driver.until(lambda: not driver.tree(), "its processes are gone", drivers.GRACE_S)


def test_an_interactive_interpreter_in_a_terminal(run):
    ours, theirs = pty.openpty()
    try:
        command = ["setsid", "--ctty", "--wait", sys.executable, "-q", "-i"]
        driver = run(command, stdin=theirs, start_new_session=False, stderr=theirs, env={"TERM": "dumb"})
        os.close(theirs)
        terminal = Terminal(ours)
        terminal.say("import raylite")
        terminal.say("f = raylite.remote(lambda x: x + 1)")
        terminal.say("print('first', raylite.get(f.remote(1)), flush=True)")
        assert driver.expect("first") == "2"
        terminal.say("slow = raylite.remote(lambda: __import__('time').sleep(1000))")
        terminal.say("print('waits', flush=True); raylite.get(slow.remote())")
        driver.expect("waits")
        terminal.wait_for("waits")
        driver.until(lambda: any(drivers.state_of(pid) == "S" for pid in driver.tree()), "it sleeps")
        terminal.press_interrupt_until("KeyboardInterrupt")
        terminal.say("print('again', raylite.get(f.remote(2)), flush=True)")
        assert driver.expect("again") == "3"
        terminal.say("exit()")
        driver.finish()
        driver.assert_nothing_left()
    finally:
        os.close(ours)


class Terminal:
    """The near end of a terminal: what a person does and sees."""

    def __init__(self, fd):
        self.fd = fd
        self.seen = b""

    def say(self, line):
        os.write(self.fd, line.encode() + b"\n")

    def look(self, timeout_s):
        if select.select([self.fd], [], [], timeout_s)[0]:
            self.seen += os.read(self.fd, 4096)

    def wait_for(self, text):
        deadline = time.monotonic() + drivers.PATIENCE_S
        while text.encode() not in self.seen and time.monotonic() < deadline:
            self.look(0.05)
        assert text.encode() in self.seen, self.seen

    def press_interrupt_until(self, text):
        os.write(self.fd, b"\x03")
        self.wait_for(text)
