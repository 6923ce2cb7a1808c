"""raylite.util costs nothing until something of it is used, and then only that."""

from __future__ import annotations

import subprocess
import sys

import pytest

import raylite.util

LIBRARIES = ("joblib", "dask", "tqdm", "sklearn", "numpy", "concurrent.futures", "multiprocessing", "asyncio")


def loaded_after(code):
    """The names among LIBRARIES, and the modules of raylite.util, that are loaded in a Python that has run the code."""
    code += f"\nimport sys\nprint([n for n in sys.modules if n in {LIBRARIES} or n.startswith('raylite.util.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return eval(done.stdout)


def test_neither_the_library_nor_its_util_loads_anything():
    """But for the module of placement_group, whose name is a function's as well."""
    assert loaded_after("import raylite; raylite.util") == ["raylite.util.placement_group"]


def test_a_name_loads_its_module_alone():
    loaded = loaded_after("import raylite; raylite.util.map_unordered")
    assert [name for name in loaded if name in LIBRARIES] == []
    assert loaded == ["raylite.util.placement_group", "raylite.util.completion"]


@pytest.mark.parametrize("name", [*raylite.util.__all__, *raylite.util._MODULES])
def test_each_name_is_there_and_listed(name):
    assert getattr(raylite.util, name)
    assert name in dir(raylite.util)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'raylite.util' has no attribute 'absent'"):
        raylite.util.absent  # noqa: B018
