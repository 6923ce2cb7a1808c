"""`raylite run`: a Ray program, with not a line of it changed, on raylite.

This process becomes the one that `python script.py` would be, by exec, so that all that a program can see of itself is
as it is there: `__main__`, `sys.argv`, `sys.path[0]`, exit codes, tracebacks, signals, what it pickles. The one thing
added is a folder at the front of PYTHONPATH, in which there is a package `ray` (see raylite.as_ray). Workers inherit
that, and so does every Python that the program starts.
"""

from __future__ import annotations

import os
import sys

import click

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[-m]",
    short_help="Run a Ray program on raylite, unchanged.",
)
@click.option("-m", "is_module", is_flag=True, help="PROGRAM is the name of a module, as for python -m.")
@click.argument("program")
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def run(program: str, args: tuple[str, ...], is_module: bool) -> NoReturn:
    """Run PROGRAM, a script written for Ray, as `python PROGRAM ARGS` would: but `import ray` is raylite, in it and in
    its workers, whether Ray is installed or not.

    At the end it says on stderr what the program asked for that raylite does not have.
    """
    if sys.flags.ignore_environment:
        raise click.UsageError("python was started with -E or -I: it would not look where `import ray` finds raylite.")
    if not sys.executable:
        raise click.UsageError("it starts the program with sys.executable, and this interpreter has none.")
    from raylite.as_ray import environment

    sys.stdout.flush()
    sys.stderr.flush()
    what = ["-m", program] if is_module else [program]
    os.execve(sys.executable, [sys.executable, *interpreter_options(), *what, *args], environment())


def interpreter_options() -> list[str]:
    """The options that this interpreter was started with (-W, -X, -O ...), to start another like it."""
    from subprocess import _args_from_interpreter_flags  # type: ignore[attr-defined]  # as multiprocessing does

    options: list[str] = _args_from_interpreter_flags()
    return options
