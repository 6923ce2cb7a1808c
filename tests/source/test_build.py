"""The build: only what changed, in the flavour asked for, and a plain sentence where it cannot be done.

A small project with raylite's own setup.py and pyproject.toml is built in a temporary folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

from tests.source.tree import ROOT

MODULES = ("raylite._core.leaf", "raylite.sim.user")
LEAF_PXD = "cdef int checked(int x) noexcept nogil\n"
LEAF = '''"""A module that others use."""
cdef extern from *:
    """
    #ifdef RAYLITE_DEBUG
    #define IS_DEBUG 1
    #else
    #define IS_DEBUG 0
    #endif
    """
    int IS_DEBUG

cdef int checked(int x) noexcept nogil:
    return x

def flavour():
    return "debug" if IS_DEBUG else "release"
'''
USER = '''"""A module that uses another."""
from raylite._core.leaf cimport checked

def answer():
    return checked(42)
'''


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "LICENSE", "MANIFEST.in"):
        shutil.copy(ROOT / name, folder)
    listing = "".join(f"    {name!r},\n" for name in MODULES)
    setup = (ROOT / "setup.py").read_text()
    setup, count = re.subn(r"(?ms)^EXTENSIONS = \(.*?^\)", f"EXTENSIONS = (\n{listing})", setup)
    assert count == 1
    files = {
        "setup.py": setup,
        "README.md": "A small project.\n",
        "raylite/__init__.py": '"""A package."""\n',
        "raylite/py.typed": "",
        "raylite/_core/__init__.py": '"""A package in it."""\n',
        "raylite/_core/leaf.pxd": LEAF_PXD,
        "raylite/_core/leaf.pyx": LEAF,
        "raylite/_core/leaf.pyi": "def flavour() -> str: ...\n",
        "sim/__init__.py": '"""A package beside it."""\n',
        "sim/user.pyx": USER,
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    os.symlink("../sim", folder / "raylite/sim")
    return folder


def run(folder, *arguments, flavour="release"):
    """Run Python in a folder, with nothing of this project on its path; output and errors together."""
    environment = {**os.environ, "RAYLITE_BUILD": flavour, "PYTHONPATH": "", "PYTHONSAFEPATH": ""}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def build(project, flavour="release"):
    """Build in place; the names of the modules that were compiled."""
    done = run(project, "setup.py", "-q", "build_ext", "--inplace", flavour=flavour)
    assert done.returncode == 0, done.stdout
    return sorted(re.findall(r"^Building (\S+)", done.stdout, re.MULTILINE))


def built_flavour(project):
    code = "import raylite.sim.user as u, raylite._core.leaf as l; assert u.answer() == 42; print(l.flavour())"
    done = run(project, "-c", code)
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


@pytest.mark.timeout(240)
def test_only_what_changed_is_built_again_and_each_flavour_stays(project):
    assert build(project) == sorted(MODULES)
    assert build(project) == []
    assert built_flavour(project) == "release"

    edit(project / "sim/user.pyx")
    assert build(project) == ["raylite.sim.user"]
    edit(project / "raylite/_core/leaf.pxd")
    assert build(project) == sorted(MODULES)

    assert build(project, "debug") == sorted(MODULES)
    assert built_flavour(project) == "debug"
    assert build(project) == []
    assert built_flavour(project) == "release"
    assert build(project, "debug") == []
    assert built_flavour(project) == "debug"


def edit(path):
    path.write_text(path.read_text() + "\n# changed\n")


@pytest.mark.timeout(240)
def test_a_wheel_has_the_simulator_and_the_stubs_and_no_sources(project, tmp_path):
    build(project)
    stale = project / "raylite/_core" / next((project / "raylite/_core").glob("leaf.*.so")).name.replace("leaf", "gone")
    stale.write_bytes(b"")
    done = run(project, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), ".")
    assert done.returncode == 0, done.stdout
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {re.sub(r"\.cpython-.*\.so$", ".so", name) for name in archive.namelist() if ".dist-info/" not in name}
        archive.extractall(tmp_path / "site")
    assert names == {
        "raylite/__init__.py",
        "raylite/py.typed",
        "raylite/_core/__init__.py",
        "raylite/_core/leaf.pyi",
        "raylite/_core/leaf.so",
        "raylite/sim/__init__.py",
        "raylite/sim/user.so",
    }
    assert built_flavour(tmp_path / "site") == "release"

    assert build(project) == []
    assert not stale.exists(), "the compiled form of a module that is not listed would still be imported"


def test_an_extension_without_source_stops_the_build_by_name(project):
    setup = (project / "setup.py").read_text()
    longer = setup.replace(f"{MODULES[-1]!r},", f"{MODULES[-1]!r}, 'raylite.absent',")
    (project / "setup_longer.py").write_text(longer)
    done = run(project, "setup_longer.py", "-q", "build_ext", "--inplace")
    assert done.returncode != 0
    assert "raylite/absent.pyx" in done.stdout
    assert "Traceback" not in done.stdout


def test_an_unknown_flavour_is_refused(project):
    done = run(project, "setup.py", "--version", flavour="fast")
    assert done.returncode != 0
    assert done.stdout == "RAYLITE_BUILD is 'fast'; it must be 'release', 'debug' or 'sanitize'.\n"


@pytest.mark.parametrize(
    "disguise",
    [
        "sys.platform = 'darwin'",
        "platform.machine = lambda: 'riscv64'",
        "sys.version_info = (3, 9, 0)",
        "sys.implementation.name = 'pypy'",
    ],
)
def test_elsewhere_a_plain_sentence(project, disguise):
    code = f"import platform, runpy, sys; {disguise}; sys.argv = ['setup.py', '--version']; runpy.run_path('setup.py')"
    done = run(project, "-c", code)
    assert done.returncode == 1
    assert re.fullmatch(r"raylite (runs on|needs) [^\n]+\n", done.stdout), done.stdout


def test_without_a_compiler_a_plain_sentence(project, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    done = run(project, "setup.py", "-q", "build_ext", "--inplace")
    assert done.returncode == 1
    assert re.fullmatch(r"raylite is compiled from C\+\+[^\n]+no-such-compiler[^\n]+\n", done.stdout), done.stdout
