"""`raylite run program` is `python program`: what a program sees of itself, prints and ends with is the same."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from tests.cli.commands import RUN, environment, finished, write

PROGRAMS = {
    "what it is": """
        import sys
        import __main__
        print(sys.argv, sys.path[0], sys.executable, sys.flags, sys.stdin.read())
        print(__name__, __file__, __spec__, __package__, __builtins__, __doc__, sorted(vars(__main__)))
        print(type(__loader__), __main__ is sys.modules["__main__"])
    """,
    "what it imports": "import neighbour; print(neighbour.__file__)",
    "a return code": "import sys; sys.exit(7)",
    "a word at the end": "import sys; sys.exit('so much for that')",
    "an end in between": "import os; os._exit(3)",
    "an exception": """
        def f(): raise ValueError("no")
        try:
            f()
        except ValueError as error:
            raise KeyError("nor") from error
    """,
    "a syntax error": "print(1)\ndef f(:\n",
    "a hook for exceptions": """
        import sys, traceback
        def hook(kind, error, trace):
            print(kind, error, [line.name for line in traceback.extract_tb(trace)])
        sys.excepthook = hook
        def f(): raise ValueError("no")
        f()
    """,
    "an interrupt": "raise KeyboardInterrupt",
    "pickles of its own classes": """
        import pickle
        class Point:
            x = 1
        print(pickle.dumps(Point), pickle.loads(pickle.dumps(Point())).x)
    """,
    "things to do at exit, and threads": """
        import atexit, threading
        atexit.register(lambda: print("at exit", main()))
        def main(): return __name__
        release = threading.Event()
        threading.Thread(target=lambda: (release.wait(), print(main()))).start()
        release.set()
    """,
    "processes that it spawns": """
        import multiprocessing
        def where(): print(__name__, flush=True)
        if __name__ == "__main__":
            process = multiprocessing.get_context("spawn").Process(target=where)
            process.start()
            process.join()
            print(process.exitcode)
    """,
    "warnings": "import warnings; warnings.warn('mind the gap')",
}


def both(folder, *what, options=(), **rest):
    """The same by python and by raylite run: return code, output and errors."""
    runs = [
        finished(folder, sys.executable, *options, *what, **rest),
        finished(folder, sys.executable, *options, "-m", "raylite", "run", *what, **rest),
    ]
    return [(done.returncode, done.stdout, done.stderr) for done in runs]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_script(tmp_path, name):
    write(tmp_path, {"folder/program.py": PROGRAMS[name], "folder/neighbour.py": ""})
    plain, ours = both(tmp_path, "folder/program.py", "one", "--help", "-m", "--", "-x=3", "", stdin="words")
    assert ours == plain


def test_a_module(tmp_path):
    module = "import sys; from . import helper; print(sys.argv, __name__, __spec__.name, sys.path[0], helper)"
    write(tmp_path, {"package/__init__.py": "", "package/tool.py": module, "package/helper.py": ""})
    plain, ours = both(tmp_path, "-m", "package.tool", "--help", "-m")
    assert ours == plain
    assert plain[0] == 0


def test_a_folder(tmp_path):
    write(tmp_path, {"app/__main__.py": "import sys; print(sys.argv, __name__, sys.path[0])"})
    plain, ours = both(tmp_path, "app", "x")
    assert ours == plain
    assert plain[0] == 0


@pytest.mark.parametrize("what", [["absent.py"], ["-m", "absent"]])
def test_a_program_that_is_not_there(tmp_path, what):
    plain, ours = both(tmp_path, *what)
    assert ours == plain
    assert plain[0] != 0


def test_options_of_the_interpreter(tmp_path):
    write(tmp_path, {"program.py": "import sys; print(sys.flags, sys.warnoptions, sys._xoptions)"})
    plain, ours = both(tmp_path, "program.py", options=["-O", "-W", "error", "-X", "dev"])
    assert ours == plain
    assert plain[0] == 0


def test_an_interrupt_from_outside(tmp_path):
    """Python ends by the signal, so that a shell sees it."""
    text = "import signal\nprint('ready', flush=True)\nwhile True:\n    signal.pause()\n"
    write(tmp_path, {"program.py": text})
    ends = []
    for command in ((sys.executable, "program.py"), (*RUN, "program.py")):
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate()
            files = set(re.findall(r'File "(.*)", line', errors))  # which line it was at, chance decides
            ends.append((process.returncode, files, errors.splitlines()[-1]))
    assert ends[0] == ends[1] == (-signal.SIGINT, {str(tmp_path / "program.py")}, "KeyboardInterrupt")


def test_the_one_difference_is_a_folder_to_look_for_modules_in(tmp_path):
    write(tmp_path, {"program.py": "import sys, os; print(sys.path); print(sorted(os.environ.items()))"})
    plain, ours = both(tmp_path, "program.py", PYTHONPATH=f"{tmp_path}/a:{environment()['PYTHONPATH']}")
    added = re.search(r"'([^']+/as_ray/path)', ", ours[1])
    assert ours[1].replace(added[0], "").replace(f"{added[1]}:", "") == plain[1]
    assert ours[1].count(added[1]) == 2
