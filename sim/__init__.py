"""raylite.sim: the same program, in a virtual cluster and in virtual time, replayed from one integer.

    from raylite import sim

    with sim.cluster(seed=7, nodes=[sim.Node(num_cpus=4)], faults=sim.Faults(worker_crash=0.01)) as c:
        ...  # any raylite program

or `raylite.init(mode="sim", seed=7)`, the pytest marker `raylite_sim`, or `python -m raylite.sim`; docs/simulator.md
tells of all. Importing this loads nothing: a worker process that calls cost() stays light.
"""

import sys

__all__ = [
    "Cluster",
    "DeadlockError",
    "Faults",
    "Network",
    "NoProgressError",
    "Node",
    "Result",
    "cluster",
    "cost",
    "current",
    "run",
    "write_graph",
    "write_timeline",
]

_HOME = {
    "Cluster": "virtual_cluster",
    "DeadlockError": "errors",
    "Faults": "faults",
    "Network": "nodes",
    "NoProgressError": "errors",
    "Node": "nodes",
    "Result": "program",
    "current": "session",
    "run": "program",
    "write_graph": "graph",
    "write_timeline": "trace_file",
}


def cluster(seed=0, nodes=None, faults=None, **options):
    """A virtual cluster, for `with`: see Cluster."""
    from raylite.sim.virtual_cluster import Cluster

    return Cluster(seed, nodes, faults, **options)


def cost(seconds):
    """Say that the calling task takes so many seconds: under simulation virtual time passes, elsewhere nothing happens.

    Raises ValueError if it is negative.
    """
    if not seconds >= 0:
        raise ValueError(f"a cost is 0 or more seconds, not {seconds!r}")
    session = sys.modules.get("raylite.sim.session")
    if session is not None and session._current is not None:
        session._current.kernel.work(seconds)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'raylite.sim' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"raylite.sim.{_HOME[name]}"), name)
    globals()[name] = value
    return value
