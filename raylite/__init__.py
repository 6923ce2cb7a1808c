"""raylite: tasks and futures on a dynamic task graph, on all cores of this machine, in a tenth of a second.

    import raylite

    @raylite.remote
    def square(x):
        return x * x

    print(raylite.get([square.remote(i) for i in range(10)]))

Importing this package costs next to nothing: names are loaded when they are first used.
"""

__version__ = "0.1.0"

_NAMES = {
    "raylite.lifecycle": ("init", "is_initialized", "shutdown"),
    "raylite.api": (
        "remote",
        "get",
        "put",
        "wait",
        "cancel",
        "nodes",
        "cluster_resources",
        "available_resources",
        "get_gpu_ids",
        "timeline",
    ),
    "raylite.actor": ("get_actor", "kill", "method"),
    "raylite.explanation": ("explain",),
    "raylite.runtime_context": ("get_runtime_context",),
    "raylite.runtime.client": ("ObjectRef", "ObjectID"),
    "raylite.generator": ("ObjectRefGenerator", "DynamicObjectRefGenerator"),
    "raylite.ids": (
        "ActorClassID",
        "ActorID",
        "FunctionID",
        "JobID",
        "NodeID",
        "PlacementGroupID",
        "TaskID",
        "UniqueID",
        "WorkerID",
    ),
    "raylite.constants": ("Language", "SCRIPT_MODE", "WORKER_MODE"),
}
_REFUSED = ("ClientBuilder", "LoggingConfig", "client", "cpp_function", "java_actor_class", "java_function")
_HOME = {name: module for module, names in _NAMES.items() for name in names}
_RENAMED = {"ObjectID": "ObjectRef", "DynamicObjectRefGenerator": "ObjectRefGenerator"}  # Ray's other names
_MODULES = ("actor", "cloudpickle", "exceptions", "runtime_context", "runtime_env", "sim", "util")

__all__ = ["__version__", "exceptions", "util", *_HOME]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from raylite import actor as actor
    from raylite import exceptions as exceptions
    from raylite import util as util
    from raylite.actor import get_actor as get_actor
    from raylite.actor import kill as kill
    from raylite.actor import method as method
    from raylite.api import (
        available_resources as available_resources,
    )
    from raylite.api import (
        cancel as cancel,
    )
    from raylite.api import (
        cluster_resources as cluster_resources,
    )
    from raylite.api import (
        get as get,
    )
    from raylite.api import (
        get_gpu_ids as get_gpu_ids,
    )
    from raylite.api import (
        nodes as nodes,
    )
    from raylite.api import (
        put as put,
    )
    from raylite.api import (
        remote as remote,
    )
    from raylite.api import (
        timeline as timeline,
    )
    from raylite.api import (
        wait as wait,
    )
    from raylite.constants import SCRIPT_MODE as SCRIPT_MODE
    from raylite.constants import WORKER_MODE as WORKER_MODE
    from raylite.constants import Language as Language
    from raylite.explanation import explain as explain
    from raylite.generator import ObjectRefGenerator as DynamicObjectRefGenerator  # noqa: F401
    from raylite.generator import ObjectRefGenerator as ObjectRefGenerator
    from raylite.ids import ActorClassID as ActorClassID
    from raylite.ids import ActorID as ActorID
    from raylite.ids import FunctionID as FunctionID
    from raylite.ids import JobID as JobID
    from raylite.ids import NodeID as NodeID
    from raylite.ids import PlacementGroupID as PlacementGroupID
    from raylite.ids import TaskID as TaskID
    from raylite.ids import UniqueID as UniqueID
    from raylite.ids import WorkerID as WorkerID
    from raylite.lifecycle import init as init
    from raylite.lifecycle import is_initialized as is_initialized
    from raylite.lifecycle import shutdown as shutdown
    from raylite.runtime.client import ObjectRef as ObjectID  # noqa: F401
    from raylite.runtime.client import ObjectRef as ObjectRef
    from raylite.runtime_context import get_runtime_context as get_runtime_context


def __getattr__(name: str) -> object:
    home = _HOME.get(name) or ("raylite.refused" if name in _REFUSED else None)
    if home is None and name not in _MODULES:
        from raylite.absent import missing

        raise missing("raylite", name)
    from importlib import import_module

    value = getattr(import_module(home), _RENAMED.get(name, name)) if home else import_module(f"raylite.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
