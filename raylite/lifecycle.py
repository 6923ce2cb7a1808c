"""The runtime of this process: started, found, ended; by init and shutdown, by the end of the interpreter, by a fork.
Or another process's, attached to.

This module is imported before anything that takes time to load: the zygote starts up while we do. A process has one
runtime. A forked child has none, whatever its parent has: it may start one of its own.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from raylite.config import Config
    from raylite.runtime.attach import Driver
    from raylite.runtime.client import Client
    from raylite.runtime.embedded import EmbeddedRuntime

_runtime: Any = None  # EmbeddedRuntime, SimulatedRuntime or AttachedRuntime
_context: Context | None = None
_hooks_set = False
_starting = allocate_lock()


class Context(dict):
    """What init returns: where the runtime is, and a context manager that ends it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        shutdown()

    @property
    def address_info(self) -> dict[str, str]:
        return dict(self)

    @property
    def dashboard_url(self) -> str:
        return ""

    def disconnect(self) -> None:
        shutdown()


def init(address: str | None = None, **options: Any) -> Context:
    """Start the runtime.

    Args: num_cpus, num_gpus: whole numbers, what the machine has by default; resources: dict of name to quantity;
    object_store_memory: bytes; namespace: str; runtime_env: dict; log_to_driver: bool; ignore_reinit_error: bool;
    mode: "embedded", or "sim" with seed=; see config.SETTINGS for all, each with its RAYLITE_* variable.
    Returns a context, usable in `with`. Raises RuntimeError if it runs already or this is a worker; TypeError or
    ValueError for a wrong argument.
    """
    with _starting:
        return start(address=address, **options)


def init_if_needed() -> None:
    """Start the runtime unless there is one: however many threads ask for it at once."""
    with _starting:
        if not is_initialized():
            start()


def start(**options: Any) -> Context:
    """What init() does: see there."""
    from raylite.config import Config

    if in_worker():
        raise RuntimeError(
            "raylite.init() was called inside a worker: tasks use the runtime that runs them. "
            "Remove the call, or guard it with `if __name__ == '__main__':`."
        )
    config = Config.from_call(**options)
    if is_initialized():
        if config.ignore_reinit_error and _context is not None:
            return _context
        raise RuntimeError(
            "Maybe you called raylite.init twice by accident? This error can be suppressed by passing in "
            "'ignore_reinit_error=True' or by calling 'raylite.shutdown()' prior to 'raylite.init()'."
        )
    set_hooks()
    return adopt(start_simulated(config) if config.mode == "sim" else start_embedded(config))


def start_simulated(config: Config) -> Any:
    """A runtime in virtual time."""
    from raylite.sim.session import begin

    return begin(config)


def start_embedded(config: Config) -> EmbeddedRuntime:
    """A runtime on this machine's processes. Its zygote starts while the rest is loaded."""
    from raylite import __version__
    from raylite.runtime.zygote_process import ZygoteProcess

    zygote = ZygoteProcess(config)
    try:
        from raylite.runtime.embedded import EmbeddedRuntime

        return EmbeddedRuntime(config, zygote, __version__)
    except BaseException:
        zygote.end()
        raise


def attach(driver: Driver) -> Context:
    """Use the runtime that another process of this user has started; shutdown() leaves it, and it goes on.

    Args: driver: one of raylite.runtime.attach.drivers(). Raises ConnectionError, saying why, if it cannot be had;
    RuntimeError if this process has a runtime already.
    """
    from raylite import __version__
    from raylite.runtime.attach import AttachedRuntime

    with _starting:
        if is_initialized():
            raise RuntimeError("This process has a runtime already: call raylite.shutdown() before another is used.")
        set_hooks()
        return adopt(AttachedRuntime(driver, __version__))


def adopt(started: Any) -> Context:
    """Make a started runtime the one of this process."""
    global _runtime, _context
    from raylite.runtime import client as clients

    clients.set_current_client(started.client)
    _runtime = started
    _context = Context(
        address="local",
        node_id=started.client.node_id().hex(),
        namespace=namespace(),
        mode=started.config.mode,
    )
    return _context


def set_hooks() -> None:
    """Once: end with the interpreter; start afresh in a forked child."""
    global _hooks_set
    if not _hooks_set:
        import atexit

        atexit.register(shutdown)
        os.register_at_fork(after_in_child=after_fork)
        _hooks_set = True


def after_fork() -> None:
    """In the child: the parent's runtime is the parent's."""
    global _runtime, _context, _starting
    _starting = allocate_lock()
    if is_initialized():
        from raylite.runtime.forks import forget_parent

        parents, _runtime, _context = _runtime, None, None
        forget_parent(parents)


def shutdown(*, wait_for_processes: bool = False, _exiting_interpreter: bool = False) -> None:
    """End the runtime of this process: every worker and what they started, and all objects. Fine without one."""
    global _runtime, _context
    if in_worker():
        return  # in a simulation the driver's runtime is in this very process
    ending, _runtime, _context = _runtime, None, None
    if ending is not None:
        from raylite.runtime import client as clients

        try:
            ending.stop()
        finally:
            clients.set_current_client(None)


def current_client() -> Client | None:
    """The client of this process, or None; loads nothing to find that there is none."""
    clients = sys.modules.get("raylite.runtime.client")
    return None if clients is None else clients.current_client()


def is_initialized() -> bool:
    """Whether there is a runtime that this process can use."""
    return current_client() is not None


def in_worker() -> bool:
    """Whether this process is a worker."""
    client = current_client()
    return client is not None and client.is_worker


def runtime() -> Any:
    """The runtime that this process started or is attached to, or None (so in workers)."""
    return _runtime


def config() -> Config | None:
    """The configuration of the runtime that this process started, or None."""
    return None if _runtime is None else _runtime.config


def namespace() -> str:
    """The namespace of this job's named actors."""
    return setting("namespace") or "anonymous"


def setting(name: str) -> Any:
    """A setting of the runtime that this process started, or works for; None without one."""
    if _runtime is not None:
        return getattr(_runtime.config, name)
    worker = sys.modules.get("raylite.runtime.worker")
    return worker.current.settings[name] if worker is not None and worker.current is not None else None
