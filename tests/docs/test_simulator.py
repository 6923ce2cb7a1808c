"""The simulator's guide: its programs are run in their order, and print what stands below them; its tables are true."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from raylite.sim.__main__ import EXIT_CODES, NOT_REPEATED, main
from raylite.sim.faults import KINDS
from raylite.sim.pytest_plugin import pytest_addoption
from raylite.sim.virtual_cluster import Cluster
from raylite.sim.workloads import WORKLOADS
from tests.docs.pages import ROOT, code_spans, section, table_with, text_of

GUIDE = "docs/simulator.md"
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\b[0-9a-f]{32}\b|(\\?\.|\d)+")
PROGRAM = "import raylite\n\nprint('the answer is', raylite.get(raylite.put(42)))\n"  # program.py, which stands for any


def test_the_guide_does_what_it_says(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    shell = Shell(tmp_path)
    n_commands = 0
    for kind, text in BLOCK.findall(text_of(GUIDE)):
        if kind == "python":
            name, _, program = text.partition("\n")
            (tmp_path / name.removeprefix("# ")).write_text(program)
            continue
        for example in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            command, _, expected = example.partition("\n")
            printed = shell.run(command)
            assert matches(printed, expected), f"$ {command}\n{printed}\n--- and the guide says ---\n{expected}"
            n_commands += 1
    assert n_commands == 11


class Shell:
    """Runs commands of the guide in a folder, with this interpreter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replay = ""

    def run(self, command: str) -> str:
        if "--raylite-sim-seed=" in command:
            assert re.sub(r"[\d.]+", "N", command.replace("-q ", "")) == re.sub(r"[\d.]+", "N", self.replay)
            command = self.replay
        words = shlex.split(command)
        variables = dict(word.split("=", 1) for word in words if word.startswith("RAYLITE_"))
        words = [word for word in words if not word.startswith("RAYLITE_")]
        if words[0] == "pytest":
            words[0:1] = ["-m", "pytest", "-p", "no:cacheprovider", "--basetemp=base"]
        else:
            del words[0]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **variables}
        done = subprocess.run(
            [sys.executable, *words], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if found := re.search(r"to run it again:\n  (.*)", done.stdout):
            self.replay = found[1]
        return done.stdout


def matches(printed, expected):
    """Whether all that is expected is printed, in order: any number for a number, anything for `...`."""
    parts = [re.escape(part.strip("\n")) for part in expected.split("...")]
    pattern = ".*".join(re.sub(NUMBER, r"[\\d.a-f]+", part) for part in parts)
    return re.fullmatch(rf"\s*{pattern}\s*", printed, re.DOTALL) is not None


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a 1.5 b\n", "a 2 b\n", True),
        ("a 1.5 c\n", "a 2 b\n", False),
        ("a\nb\nc\n", "a\n...\nc\n", True),
        ("a\nb\n", "a\n...\nc\n", False),
        ("a\n", "a\nb\n", False),
    ],
)
def test_matching_notices(printed, expected, same):
    assert matches(printed, expected) == same


def test_the_faults_are_those_of_the_table():
    rows = table_with(text_of(GUIDE), "kind", "what happens")
    listed = {row["kind"].strip("`"): (row["what happens"], f"each {row['at each']}", row['in "all"']) for row in rows}
    assert listed == {
        name: (kind.happens, kind.occasion, "yes" if kind.hidden else "no") for name, kind in KINDS.items()
    }


def test_the_exit_codes_are_those_of_the_table():
    codes = [int(row["code"]) for row in table_with(text_of(GUIDE), "code", "means")]
    assert codes == sorted({*EXIT_CODES.values(), NOT_REPEATED, click.UsageError.exit_code})


def test_the_options_of_the_command_are_those_of_the_table():
    rows = table_with(section(GUIDE, "As a command"), "option", "does")
    listed = set(re.findall(r"--[a-z-]+", " ".join(row["option"] for row in rows)))
    assert listed == {name for option in main.params if not option.hidden for name in option.opts if name[1] == "-"}
    assert set(WORKLOADS) <= set(code_spans(section(GUIDE, "As a command")))


def test_the_options_of_pytest_are_those_of_the_table():
    names = []

    class Group:
        def addoption(self, name, **rest):
            names.append(name)

    class Parser:
        def getgroup(self, *rest):
            return Group()

    pytest_addoption(Parser())
    rows = table_with(section(GUIDE, "In pytest"), "option", "does")
    assert [row["option"].strip("`").partition("=")[0] for row in rows] == names


def test_the_methods_of_a_cluster_are_those_of_the_table():
    rows = table_with(section(GUIDE, "As a library"), "method", "does")
    listed = {span.partition("(")[0] for row in rows for span in code_spans(row["method"])}
    public = {name for name, value in vars(Cluster).items() if callable(value) and not name.startswith("_")}
    assert listed == public
