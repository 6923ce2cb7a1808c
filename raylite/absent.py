"""What Ray has and raylite does not, and why: so that who asks for it is told.

Three tables by full name, with "raylite" for "ray": modules; names in modules; and functions and classes that are there
to raise NotImplementedError when they are called (raylite.refused). A name that comes to be there leaves its table:
tests/api/test_ray_names.py looks.
"""

from __future__ import annotations

import sys

_LIBRARY = "it is a library built on Ray, and needs Ray itself"
_INNER = "it is an inner part of Ray"
_CLIENT = "there is no Ray Client: a program runs its own runtime, raylite.init() starts it"
_LANGUAGES = "raylite runs Python only"
_LOGS = "there are no log files: what workers write is shown by the driver"
_DEBUGGER = "workers have no terminal; under raylite.init(mode='sim') tasks run in the driver's process"

MODULES = {
    "raylite.air": _LIBRARY,
    "raylite.data": _LIBRARY,
    "raylite.llm": _LIBRARY,
    "raylite.rllib": _LIBRARY,
    "raylite.serve": _LIBRARY,
    "raylite.train": _LIBRARY,
    "raylite.tune": _LIBRARY,
    "raylite.workflow": "Ray no longer has it",
    "raylite.dag": "there are no lazy graphs: call .remote(), whose references make the graph",
    "raylite.autoscaler": "it rents machines for a cluster, and raylite runs on this machine only",
    "raylite.cluster_utils": "there are no clusters yet",
    "raylite.dashboard": "there is no dashboard",
    "raylite.job_submission": "there is no server that takes jobs: start the program itself",
    "raylite.widgets": "they show Ray's dashboard in notebooks, and there is none",
    "raylite.client_builder": _CLIENT,
    "raylite.cross_language": _LANGUAGES,
    "raylite.job_config": "give runtime_env and namespace to init",
    "raylite.experimental": _INNER,
    "raylite.internal": _INNER,
    "raylite._private": _INNER,
    "raylite._raylet": _INNER,
    "raylite.util.client": _CLIENT,
    "raylite.util.collective": _LIBRARY,
    "raylite.util.debugpy": _DEBUGGER,
    "raylite.util.iter": "Ray has given up its parallel iterators; map_unordered does what they did",
    "raylite.util.metrics": "nothing collects metrics",
    "raylite.util.pdb": _DEBUGGER,
    "raylite.util.ray_debugpy": _DEBUGGER,
    "raylite.util.rpdb": _DEBUGGER,
    "raylite.util.spark": _LIBRARY,
    "raylite.util.tracing": "there is no OpenTelemetry; raylite.timeline() says what ran when",
}

NAMES = {
    "raylite.LOCAL_MODE": "Ray no longer has it; raylite.init(mode='sim') runs tasks in the driver's process",
    "raylite._config": _INNER,
    "raylite.runtime_context.RuntimeContext.get_assigned_resources": "a worker is not told what its task was given, "
    "GPUs excepted, which get_accelerator_ids() returns",
    "raylite.runtime_context.RuntimeContext.is_canceled": "a task that is cancelled gets KeyboardInterrupt",
}

CALLS = {
    "raylite.ClientBuilder": _CLIENT,
    "raylite.LoggingConfig": "set up logging in the tasks, or with PYTHON* variables in runtime_env['env_vars']",
    "raylite.client": _CLIENT,
    "raylite.cpp_function": _LANGUAGES,
    "raylite.java_actor_class": _LANGUAGES,
    "raylite.java_function": _LANGUAGES,
    "raylite.util.connect": _CLIENT,
    "raylite.util.disconnect": _CLIENT,
    "raylite.util.state.StateApiClient": "it talks to Ray's dashboard; the functions beside it ask the node",
    "raylite.util.state.get_log": _LOGS,
    "raylite.util.state.list_cluster_events": "they are those of Ray's cluster; raylite.timeline() says what ran when",
    "raylite.util.state.list_logs": _LOGS,
    "raylite.util.state.list_runtime_envs": "get_task() tells that of a task, get_actor() that of an actor",
}


def missing(home: str, name: str) -> AttributeError:
    """The error for a name that a module or class of ours has not; with the reason, if it is a name of Ray's.

    To be called by its `__getattr__`. Args: home: the full name of module or class; name: what is looked up in it.
    """
    full_name = f"{home}.{name}"
    why = MODULES.get(full_name) or NAMES.get(full_name)
    if is_noted():
        from raylite.as_ray.notes import note_lookup

        note_lookup(full_name, why or "raylite has no such name")
    what = f"module {home!r}" if home in sys.modules else f"{home.rpartition('.')[2]!r} object"
    text = f"{what} has no attribute {name!r}"
    return AttributeError(f"{text}: {why}" if why else text)


def missing_module(full_name: str) -> ModuleNotFoundError:
    """The error for a module of Ray's, by our name for it, that is not there."""
    what = rays_name(full_name)
    why = MODULES.get(full_name, "raylite has no such module")
    note(what, why)
    # Python drops an error whose name is the one that `from ray import ...` looks for, and the reason with it.
    return ModuleNotFoundError(f"No module named {what!r}: {why}", name=what)


def refuse(full_name: str) -> NotImplementedError:
    """The error for a call of something that is there to say why it does not work."""
    note(f"{rays_name(full_name)}()", CALLS[full_name])
    return NotImplementedError(f"{full_name}: {CALLS[full_name]}.")


def rays_name(full_name: str) -> str:
    """Ray's name for what has this one here."""
    return "ray" + full_name.removeprefix("raylite")


def is_noted() -> bool:
    """Whether this program wants to hear at its end what it asked for in vain: `raylite run` started it."""
    from raylite.config import notes_path

    return bool(notes_path())


def note(what: str, why: str) -> None:
    """Keep it for the end that the program asked for something that is not there, or has no effect."""
    if is_noted():
        from raylite.as_ray import notes

        notes.note(what, why)
