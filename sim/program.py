"""One program, run under simulation."""

from raylite import lifecycle
from raylite.config import Config
from raylite.sim.session import SimulatedRuntime


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


def run(program, *args, seed=0, worker_crash=0.0, virtual_time=True, check=None, record=False, **options):
    """Run program(*args) as the driver of a simulated runtime of its own.

    Args: seed: of everything that is left to chance, 0 up to 2**64 - 1; worker_crash: how likely a worker dies at each
    call that its task makes, at its start and its end, 0 to 1; virtual_time: whether `time`, `random` and the waits of
    asyncio are the simulation's; check: check every table of the node after every event; record: keep the events;
    options: as for raylite.init.
    Returns a Result. Raises what the program raises; DeadlockError if it waits for what cannot come; RuntimeError if
    raylite is running already; TypeError or ValueError for a wrong argument.
    """
    if lifecycle.is_initialized():
        raise RuntimeError("sim.run() starts a runtime of its own, and one is running: call raylite.shutdown() before")
    if isinstance(worker_crash, bool) or not isinstance(worker_crash, (int, float)):
        raise TypeError(f"worker_crash is a number from 0 to 1, not {worker_crash!r}")
    if not 0 <= worker_crash <= 1:
        raise ValueError(f"worker_crash is from 0 to 1, not {worker_crash!r}")
    config = Config.from_call(**{**options, "mode": "sim", "seed": seed})
    session = SimulatedRuntime(config, worker_crash=worker_crash, virtual_time=virtual_time, check=check, record=record)
    try:
        lifecycle.set_hooks()
        lifecycle.adopt(session)
        value = program(*args)
        session.node.check_invariants()
        return Result(value, session)
    except BaseException as error:
        if hasattr(error, "add_note"):
            error.add_note(f"raylite.sim: with seed {seed}")
        raise
    finally:
        session.stop()
        lifecycle.shutdown()
