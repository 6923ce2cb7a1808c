"""What every source file keeps: one subject in a readable length, docstrings that say what is in it, no waiting by guess."""

from __future__ import annotations

import ast
import re

import pytest

from tests.source.tree import ROOT, SOURCE_FOLDERS, sources

MAX_LINES = 800
# Library files that may sleep, and why: a sleep waits for something that could be waited for.
MAY_SLEEP: dict[str, str] = {"sim/locks.pyx": "for the first of several locks that threads outside may release"}
MAY_BE_LONG = {"raylite/runtime/client.pyx": 1311}  # references want a module of their own; it may not grow till then
SLEEP_CALL = re.compile(r"\b(time\.sleep|usleep|nanosleep|sleep_for)\(")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FILES = [*sources(*SOURCE_FOLDERS), *(path.relative_to(ROOT) for path in sorted(ROOT.glob("*.py")))]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_file_has_one_subject_and_a_readable_length(path):
    assert len((ROOT / path).read_text().splitlines()) <= MAY_BE_LONG.get(str(path), MAX_LINES)


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix in (".py", ".pyx")], ids=str)
def test_a_module_opens_with_a_docstring(path):
    text = re.sub(r"\A(\s*#[^\n]*\n|\s*\n)*", "", (ROOT / path).read_text())
    assert text.startswith('"""') and not text.startswith('""""""'), "no docstring at the top"


@pytest.mark.parametrize("path", sources("raylite", "sim", suffixes=(".py",)), ids=str)
def test_what_a_module_offers_says_what_it_is(path):
    body = ast.parse((ROOT / path).read_text()).body
    offered = [node for node in body if isinstance(node, DEFINITIONS) and not node.name.startswith("_")]
    assert [node.name for node in offered if not ast.get_docstring(node)] == []


@pytest.mark.parametrize("path", sources("raylite", "sim", suffixes=(".py", ".pyx", ".pxd", ".h", ".hpp")), ids=str)
def test_the_library_does_not_wait_by_guess(path):
    calls = SLEEP_CALL.findall((ROOT / path).read_text())
    assert not calls or str(path) in MAY_SLEEP


@pytest.mark.parametrize("path", sources("tests", "property_tests", suffixes=(".py",)), ids=str)
def test_a_test_does_not_wait_by_guess(path):
    """A test polls with a deadline (`wait_until`); the tasks that it submits, functions of their own, may sleep."""
    lines = []
    for function in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and is_test_or_fixture(function):
            lines += [call.lineno for call in sleeps_of(function)]
    assert lines == [], "time.sleep outside a polling loop"


def is_test_or_fixture(function):
    return function.name.startswith("test_") or any("fixture" in ast.unparse(each) for each in function.decorator_list)


def sleeps_of(node):
    """The sleeps of a function itself: not those of functions inside it, nor those of polling loops."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef | ast.While):
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func) in ("time.sleep", "sleep", "asyncio.sleep"):
            yield child
        yield from sleeps_of(child)
