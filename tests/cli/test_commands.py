"""The command line itself: its commands, what it says of a wrong one, and what it costs those who do not use it."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import raylite
from raylite.cli import COMMANDS
from raylite.cli.group import raylite as command_line
from tests.cli.commands import ROOT, environment, finished


def called(*arguments):
    return CliRunner().invoke(command_line, list(arguments))


def test_the_version(tmp_path):
    done = finished(tmp_path, sys.executable, "-m", "raylite", "version")
    assert (done.stdout, done.stderr, done.returncode) == (f"{raylite.__version__}\n", "", 0)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_there_and_says_what_it_does(name):
    listing = called("--help").output
    [line] = [line for line in listing.splitlines() if line.startswith(f"  {name} ")]
    assert line.split(maxsplit=1)[1:]
    done = called(name, "--help")
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: raylite {name}")


def test_a_wrong_command_is_told_the_right_ones():
    done = called("rum")
    assert done.exit_code == 2
    assert f"There is no command 'rum'. There are {', '.join(sorted(COMMANDS))}." in done.output


def test_run_without_a_program_says_how_it_is_used():
    done = called("run")
    assert done.exit_code == 2
    assert "Usage: raylite run [-m] PROGRAM [ARGS]..." in done.output
    assert "Missing argument 'PROGRAM'" in done.output


@pytest.mark.parametrize("option", ["-E", "-I"])
def test_run_says_so_where_python_ignores_its_environment(tmp_path, option):
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); sys.path.insert(0, {click.__path__[0].rpartition('/')[0]!r}); "
    )
    code += "sys.argv[1:] = ['run', 'x.py']; from raylite.cli import main; main()"
    done = finished(tmp_path, sys.executable, option, "-c", code)
    assert done.returncode == 2
    assert "python was started with -E or -I" in done.stderr


def test_a_command_loads_no_other():
    code = "import sys; sys.argv = ['raylite', 'version']; import atexit; from raylite.cli import main; "
    code += "atexit.register(lambda: print(sorted(name for name in sys.modules if name.startswith('raylite')))); main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = ["raylite", "raylite.cli", "raylite.cli.group", "raylite.cli.version"]
    assert done.stdout.splitlines()[1:] == [str(loaded)]
