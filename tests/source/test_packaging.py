"""What the package says of itself is so: version, Pythons, dependencies, stubs, what it imports, which build it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys

import pytest

from tests.source.tree import ROOT, imported_names, python_literal

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # which pytest needs on Python 3.10

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTENSIONS = python_literal("setup.py", "EXTENSIONS")
PUBLIC_EXTENSIONS = [name for name in EXTENSIONS if not name.rpartition(".")[2].startswith("_")]
IMPORT_NAMES = {"pyzmq": "zmq"}  # where it is not the distribution's


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement).group()


def required():
    extras = [each for extra in PROJECT["optional-dependencies"].values() for each in extra]
    return {distribution(each) for each in [*PROJECT["dependencies"], *extras]} - {"raylite"}


def test_the_version_is_the_same_everywhere():
    assert python_literal("raylite/__init__.py", "__version__") == PROJECT["version"]


def test_the_classifiers_begin_with_the_oldest_python_allowed():
    minors = [int(minor) for each in PROJECT["classifiers"] for minor in re.findall(r"Python :: 3\.(\d+)", each)]
    assert PROJECT["requires-python"] == f">=3.{min(minors)}"
    assert minors == sorted(minors)


def test_each_dependency_has_its_reason():
    rows = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs/dependencies.md").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == required()


def test_importing_raylite_imports_no_dependency():
    names = [IMPORT_NAMES.get(name, name) for name in map(distribution, PROJECT["dependencies"])]
    code = f"import sys, raylite; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_package_is_marked_as_typed():
    assert (ROOT / "raylite/py.typed").is_file()


def test_sim_is_a_folder_of_the_project_and_a_part_of_the_package():
    module = importlib.import_module("raylite.sim")
    assert os.path.realpath(os.path.dirname(module.__file__)) == str(ROOT / "sim")


@pytest.mark.parametrize("name", EXTENSIONS)
def test_the_build_under_test_is_the_one_asked_for(name):
    """Symbols are in the debug build only."""
    with open(importlib.import_module(name).__file__, "rb") as file:
        flavour = "debug" if b".debug_info" in file.read() else "release"
    assert flavour == os.environ.get("RAYLITE_BUILD", "release")


@pytest.mark.parametrize("name", PUBLIC_EXTENSIONS)
def test_the_stub_of_a_compiled_module_lists_what_it_exports(name):
    """A module of which Python sees nothing needs none."""
    source = ROOT / name.replace(".", "/")
    module = importlib.import_module(name)
    borrowed = imported_names(source.with_suffix(".pyx").relative_to(ROOT))
    exported = {each for each in public(vars(module)) - borrowed if not inspect.ismodule(getattr(module, each))}
    stub = source.with_suffix(".pyi")
    declared = declarations(ast.parse(stub.read_text()).body) if stub.is_file() else {}
    assert set(declared) == exported
    for each, members in declared.items():
        kind = getattr(module, each)
        if members is not None:
            assert inspect.isclass(kind), each
            assert public(vars(kind)) <= set(members), f"{each} has members that its stub lacks"
            assert {member for member in members if not hasattr(kind, member)} == set(), f"{each} lacks members"


def public(names):
    return {name for name in names if not name.startswith("_")}


def declarations(body):
    """The public names that a stub declares, each with its own public names if it is a class, else None."""
    found = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            found[node.name] = declarations(node.body)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found[node.name] = None
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            found.update((ast.unparse(target), None) for target in targets)
    return {name: members for name, members in found.items() if not name.startswith("_")}
