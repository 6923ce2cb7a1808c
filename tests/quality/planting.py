"""The faults planted in a debug build: which there are, and switching one of them on."""

from __future__ import annotations

import contextlib
import ctypes
import re
from pathlib import Path

from tests.source.tree import ROOT

SYMBOL = "raylite_planted"
LIST = ROOT / "raylite/_core/planted.pxd"


def modules() -> list[Path]:
    """The compiled modules of the core and of what hosts it."""
    return sorted([*(ROOT / "raylite").rglob("*.so"), *(ROOT / "sim").glob("*.so")])


def faults() -> dict[str, int]:
    """The faults by name, in their order."""
    return {
        name: int(number) for name, number in re.findall(r"^    ([A-Z_]+) = (\d+) ", LIST.read_text(), re.MULTILINE)
    }


def words() -> list[ctypes.c_int]:
    """The words by which faults are switched on, one in each module that asks. None in a release build."""
    found = []
    for path in modules():
        with contextlib.suppress(ValueError):  # no such symbol
            found.append(ctypes.c_int.in_dll(ctypes.CDLL(str(path)), SYMBOL))
    return found


@contextlib.contextmanager
def planted(name: str):
    """One fault is on. Raises RuntimeError in a release build, which has none; KeyError for an unknown name."""
    number, all_words = faults()[name], words()
    if not all_words:
        raise RuntimeError("this is a release build: it has no planted faults")
    for word in all_words:
        word.value = number
    try:
        yield
    finally:
        for word in all_words:
            word.value = 0
