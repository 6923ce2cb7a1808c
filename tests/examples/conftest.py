"""Fixtures of the tests of the examples: to run one as a user does, and where a package is missing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.examples.output import EXAMPLES, TIME_LIMIT_S


@pytest.fixture
def run(tmp_path):
    """A function that runs an example in a folder of its own and returns the finished process."""

    def run_example(name, *arguments, **options):
        command = [sys.executable, str(EXAMPLES / name), *arguments]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": tmp_path} | options
        return subprocess.run(command, text=True, timeout=TIME_LIMIT_S, **options)

    return run_example


@pytest.fixture
def without(tmp_path):
    """A function that returns an environment in which no process can import `module`."""

    def environment_without(module):
        folder = tmp_path / f"without-{module}"
        folder.mkdir()
        (folder / f"{module}.py").write_text("raise ImportError(f'No module named {__name__}')\n")
        paths = [str(folder), os.environ.get("PYTHONPATH", "")]
        return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}

    return environment_without
