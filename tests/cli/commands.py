"""Programs run by `python` and by `raylite run`, each in a process of its own, in one folder."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIME_LIMIT_S = 40
RUN = (sys.executable, "-m", "raylite", "run")


def write(folder, files):
    """Write programs, by name, into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def environment(**variables):
    """This process's environment, with raylite to be found in it, and without what would change what Python prints."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAYLITE_", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(ROOT), **variables}


def finished(folder, *command, stdin="", **variables):
    """A command, run to its end in a folder, its output as text."""
    return subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
    )


def ray_program(folder, text, *arguments, **variables):
    """A program that imports ray, run by `raylite run`; what it printed, and what it said on stderr."""
    write(folder, {"program.py": text})
    done = finished(folder, *RUN, "program.py", *arguments, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines(), done.stderr
