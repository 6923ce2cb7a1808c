"""`ray.x` is `raylite.x`, the same module object: so that a class is one class, whatever name it was imported by.

A module that raylite does not have is refused with the reason, whether it is asked for as `import ray.tune` or as
`from ray import tune` (which Python, as the module's own name is raylite, looks for as `raylite.tune`).
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

from raylite import absent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def install() -> None:
    """Have this process find raylite's modules under Ray's names, before anything else is looked at."""
    if not any(isinstance(each, RayFinder) for each in sys.meta_path):
        sys.meta_path.insert(0, RayFinder())


class RayFinder:
    """A meta path finder: of everything below `ray`, and of nothing else."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.startswith("ray."):
            ours = f"raylite{name[3:]}"
            if find_spec(ours) is not None:
                return ModuleSpec(name, OurModule(ours))  # type: ignore[arg-type]
        elif name in absent.MODULES:
            ours = name
        else:
            return None
        # Who asks whether there is such a module, and does not import it, gets an answer and no error.
        if sys._getframe(2).f_globals.get("__name__") == "importlib.util":
            return None
        raise absent.missing_module(ours)


class OurModule:
    """A loader that loads nothing: it puts a module of ours in the place of the one that is being imported.

    Args: name: the full name of ours.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = import_module(self.name)
