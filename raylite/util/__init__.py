"""What programs use beside the calls of raylite itself; names are loaded when they are first used."""

_NAMES = {
    "raylite.util.debug": ("disable_log_once_globally", "enable_periodic_logging", "log_once"),
    "raylite.util.named_actors": ("list_named_actors",),
    "raylite.util.serialization": ("deregister_serializer", "register_serializer"),
    "raylite.util.this_node": ("get_node_instance_id", "get_node_ip_address"),
}
_REFUSED = ("connect", "disconnect")
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("accelerators", "debug", "serialization")

__all__ = ["accelerators", *_HOME]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.util import accelerators as accelerators
    from raylite.util.debug import disable_log_once_globally as disable_log_once_globally
    from raylite.util.debug import enable_periodic_logging as enable_periodic_logging
    from raylite.util.debug import log_once as log_once
    from raylite.util.named_actors import list_named_actors as list_named_actors
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
