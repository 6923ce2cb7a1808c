"""What programs use beside the calls of raylite itself; Ray's `ray.util`.

As in raylite itself, nothing is loaded before it is used; but `placement_group` is the name of a function and of the
module that has it, and here it has to be the function, so that module is imported at once.
"""

from raylite.util.placement_group import placement_group as placement_group

_NAMES = {
    "raylite.util.placement_group": (
        "get_current_placement_group",
        "get_placement_group",
        "placement_group_table",
        "remove_placement_group",
    ),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("scheduling_strategies",)

__all__ = ["placement_group", *_HOME]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.util.placement_group import get_current_placement_group as get_current_placement_group
    from raylite.util.placement_group import get_placement_group as get_placement_group
    from raylite.util.placement_group import placement_group_table as placement_group_table
    from raylite.util.placement_group import remove_placement_group as remove_placement_group


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None and name not in _MODULES:
        raise AttributeError(f"module 'raylite.util' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name) if home else import_module(f"raylite.util.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
