"""What programs use beside the calls of raylite itself; Ray's `ray.util`.

As in raylite itself, nothing is loaded before it is used: neither the names below nor the modules that tie raylite to
other libraries (joblib, dask, tqdm, concurrent.futures, multiprocessing). But `placement_group` is the name of a
function and of the module that has it, and here it has to be the function, so that module is imported at once.
"""

from raylite.util.placement_group import placement_group as placement_group

_NAMES = {
    "raylite.util.actor_pool": ("ActorPool",),
    "raylite.util.check_serialize": ("inspect_serializability",),
    "raylite.util.completion": ("as_completed", "map_unordered"),
    "raylite.util.debug": ("disable_log_once_globally", "enable_periodic_logging", "log_once"),
    "raylite.util.named_actors": ("list_named_actors",),
    "raylite.util.placement_group": (
        "get_current_placement_group",
        "get_placement_group",
        "placement_group_table",
        "remove_placement_group",
    ),
    "raylite.util.serialization": ("deregister_serializer", "register_serializer"),
    "raylite.util.this_node": ("get_node_instance_id", "get_node_ip_address"),
}
_REFUSED = ("connect", "disconnect")
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = (
    "accelerators",
    "actor_pool",
    "check_serialize",
    "concurrent",
    "dask",
    "debug",
    "joblib",
    "key_value",
    "multiprocessing",
    "queue",
    "scheduling_strategies",
    "serialization",
    "state",
    "tqdm",
)

__all__ = ["accelerators", "placement_group", *_HOME]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.util import accelerators as accelerators
    from raylite.util.actor_pool import ActorPool as ActorPool
    from raylite.util.check_serialize import inspect_serializability as inspect_serializability
    from raylite.util.completion import as_completed as as_completed
    from raylite.util.completion import map_unordered as map_unordered
    from raylite.util.debug import disable_log_once_globally as disable_log_once_globally
    from raylite.util.debug import enable_periodic_logging as enable_periodic_logging
    from raylite.util.debug import log_once as log_once
    from raylite.util.named_actors import list_named_actors as list_named_actors
    from raylite.util.placement_group import get_current_placement_group as get_current_placement_group
    from raylite.util.placement_group import get_placement_group as get_placement_group
    from raylite.util.placement_group import placement_group_table as placement_group_table
    from raylite.util.placement_group import remove_placement_group as remove_placement_group
    from raylite.util.serialization import deregister_serializer as deregister_serializer
    from raylite.util.serialization import register_serializer as register_serializer
    from raylite.util.this_node import get_node_instance_id as get_node_instance_id
    from raylite.util.this_node import get_node_ip_address as get_node_ip_address


def __getattr__(name: str) -> object:
    home = _HOME.get(name) or ("raylite.refused" if name in _REFUSED else None)
    if home is None and name not in _MODULES:
        from raylite.absent import missing

        raise missing("raylite.util", name)
    from importlib import import_module

    value = getattr(import_module(home), name) if home else import_module(f"raylite.util.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
