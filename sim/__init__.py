"""raylite.sim: the same program, on virtual workers in virtual time, replayed from one integer.

    from raylite import sim

    result = sim.run(program, seed=7, num_cpus=4, worker_crash=0.01)

or `raylite.init(mode="sim", seed=7)`. Importing this loads nothing: a worker process that calls cost() stays light.
"""

import sys

__all__ = ["DeadlockError", "Result", "cost", "current", "run"]

_HOME = {"DeadlockError": "errors", "Result": "program", "current": "session", "run": "program"}


def cost(seconds):
    """Say that the calling task takes so many seconds: under simulation virtual time passes, elsewhere nothing happens.

    Raises ValueError if it is negative.
    """
    if not seconds >= 0:
        raise ValueError(f"a cost is 0 or more seconds, not {seconds!r}")
    session = sys.modules.get("raylite.sim.session")
    if session is not None and session._current is not None:
        session._current.kernel.sleep(seconds)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'raylite.sim' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"raylite.sim.{_HOME[name]}"), name)
    globals()[name] = value
    return value
