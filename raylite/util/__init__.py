"""What programs use beside the calls of raylite itself; Ray's `ray.util`.

As in raylite itself, nothing is loaded before it is used: neither the names below nor the modules that tie raylite to
other libraries (joblib, dask, tqdm, concurrent.futures,
multiprocessing).
"""

_NAMES = {
    "raylite.util.actor_pool": ("ActorPool",),
    "raylite.util.completion": ("as_completed", "map_unordered"),
    "raylite.util.check_serialize": ("inspect_serializability",),
}
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = ("actor_pool", "check_serialize", "concurrent", "dask", "joblib", "multiprocessing", "queue", "tqdm")

__all__ = [*_HOME]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite.util.actor_pool import ActorPool as ActorPool
    from raylite.util.check_serialize import inspect_serializability as inspect_serializability
    from raylite.util.completion import as_completed as as_completed
    from raylite.util.completion import map_unordered as map_unordered


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
