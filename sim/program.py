"""One program, run under simulation."""

from __future__ import annotations

from raylite.sim.faults import Faults
from raylite.sim.virtual_cluster import Cluster


class Result:
    """What a run gave.

    Attributes: value: what the program returned; trace_hash: of all events that the node handled, equal for equal
    seeds; n_events: how many those were; virtual_s: virtual seconds that it took; events: if recorded, the events.
    """

    __slots__ = ("events", "n_events", "trace_hash", "value", "virtual_s")

    def __init__(self, value, session):
        self.value = value
        self.trace_hash = session.trace_hash()
        self.n_events = session.n_events()
        self.virtual_s = session.now_s()
        self.events = session.events()

    def __repr__(self):
        return (
            f"Result(value={self.value!r}, trace_hash={self.trace_hash!r}, n_events={self.n_events}, "
            f"virtual_s={self.virtual_s!r})"
        )


def run(program, *args, seed=0, worker_crash=0.0, faults=None, **options):
    """Run program(*args) as the driver of a virtual cluster of its own.

    Args: seed: of everything that is left to chance, 0 up to 2**64 - 1; worker_crash: short for
    faults=sim.Faults(worker_crash=...); faults and options: as for sim.cluster.
    Returns a Result. Raises what the program raises; DeadlockError if it waits for what cannot come; RuntimeError if
    raylite is running already; TypeError or ValueError for a wrong argument.
    """
    of_crashes = Faults(worker_crash=worker_crash)
    if of_crashes and faults is not None:
        raise TypeError("worker_crash is short for faults=sim.Faults(worker_crash=...), and both are given")
    with Cluster(seed, faults=of_crashes if faults is None else faults, **options) as cluster:
        value = program(*args)
        cluster.session.check_invariants()
        return Result(value, cluster.session)
