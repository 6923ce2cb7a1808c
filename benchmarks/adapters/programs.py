"""Where the programs of the rows about whole programs lie."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent.parent / "programs"


SPILLING = str(_FOLDER / "spilling.py")


def program_with(name: str) -> str:
    """The path of the program that is written with the library `name`."""
    return str(_FOLDER / f"with_{name}.py")
