"""The states of a task: which changes there are, that each that is not poisons the node, and what the story tells."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig

import pytest

from raylite._core.node.node import Node
from raylite._core.node.task_table import state_names, transitions
from tests.core import protocol as p
from tests.source.tree import ROOT

NAMES = ("NONE", "WAITING", "READY", "PLACED", "RUNNING", "BLOCKED", "SPILLED", "FINISHED", "FAILED", "CANCELLED")
NEXT = {
    "NONE": {"WAITING"},
    "WAITING": {"READY", "SPILLED", "FINISHED", "FAILED", "CANCELLED"},
    "READY": {"PLACED", "RUNNING", "WAITING", "SPILLED", "FINISHED", "FAILED", "CANCELLED"},
    "PLACED": {"RUNNING", "READY", "WAITING", "FINISHED", "FAILED", "CANCELLED"},
    "RUNNING": {"BLOCKED", "READY", "WAITING", "FINISHED", "FAILED", "CANCELLED"},
    "BLOCKED": {"RUNNING", "READY", "WAITING", "FINISHED", "FAILED", "CANCELLED"},
    "SPILLED": {"WAITING", "READY", "FINISHED", "FAILED", "CANCELLED"},
    "FINISHED": {"WAITING"},
    "FAILED": {"WAITING"},
    "CANCELLED": set(),
}
PAIRS = [(old, new) for old in NAMES for new in NAMES]
SETUP = """
from Cython.Build import cythonize
from setuptools import Extension, setup
probe = Extension("state_probe", [{source!r}], language="c++", extra_compile_args=["-std=c++17", "-O0"])
setup(name="probe", ext_modules=cythonize([probe], include_path=[{root!r}], build_dir={folder!r}, quiet=True,
      compiler_directives={{"language_level": "3"}}))
"""


@pytest.fixture(scope="module")
def change_state(tmp_path_factory):
    """The probe's function, compiled against the core as it is built now."""
    folder = tmp_path_factory.mktemp("probe")
    code = SETUP.format(source=str(ROOT / "tests/core/state_probe.pyx"), root=str(ROOT), folder=str(folder))
    arguments = ["-q", "build_ext", "--build-lib", str(folder), "--build-temp", str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    assert done.returncode == 0, done.stdout
    path = folder / ("state_probe" + sysconfig.get_config_var("EXT_SUFFIX"))
    spec = importlib.util.spec_from_file_location("state_probe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.change_state


def test_the_table_lists_these_changes_and_no_others():
    assert state_names() == NAMES
    assert {(NAMES[old], NAMES[new]) for old, new in transitions()} == {(old, new) for old in NEXT for new in NEXT[old]}


@pytest.mark.timeout(180)  # the probe is compiled for the first of them
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_a_change_that_is_not_allowed_poisons_the_node(change_state, old, new):
    node = Node({"CPU": 10000})
    change_state(node, p.named_task("a"), NAMES.index(old), NAMES.index(new))
    if new in NEXT[old]:
        node.check()
        return
    with pytest.raises(RuntimeError, match="changed state in a way the table does not allow") as error:
        node.check()
    assert p.named_task("a").hex() in str(error.value), "the story of the task concerned"
    with pytest.raises(RuntimeError, match="does not allow"):
        node.handle(0, p.EV_TICK)
