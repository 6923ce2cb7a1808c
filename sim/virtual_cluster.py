"""A virtual cluster around a program: what sim.cluster() gives, and what can be done to it by command."""

from __future__ import annotations

from raylite import lifecycle
from raylite.config import Config
from raylite.sim.session import SimulatedRuntime, begin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class Cluster:
    """A virtual cluster: a context manager, inside which raylite runs on it, in virtual time.

    Args: seed: of everything that is left to chance, 0 up to 2**64 - 1; nodes: how many, or a list of sim.Node; faults:
    a sim.Faults, "all" (drawn from the seed) or a text such as "worker_crash=0.01"; faults_for_s: virtual seconds after
    which faults stop (see stop_faults), None: never; virtual_time: whether `time`, `random` and the waits of asyncio
    are the simulation's; check: check every table of the node after every event; record: keep the events; options: as
    for raylite.init.
    Raises TypeError or ValueError for a wrong argument; RuntimeError in `with` if raylite is running already.
    """

    def __init__(
        self,
        seed: int = 0,
        nodes: Any = None,
        faults: Any = None,
        *,
        faults_for_s: float | None = None,
        virtual_time: bool = True,
        check: bool | None = None,
        record: bool = False,
        **options: Any,
    ) -> None:
        self.config = Config.from_call(**{**options, "mode": "sim", "seed": seed, "nodes": nodes, "faults": faults})
        self.seed = seed
        self.faults = self.config.faults
        self.faults_for_s = _seconds(faults_for_s)
        self.settings = {"virtual_time": virtual_time, "check": check, "record": record}
        self._session: SimulatedRuntime | None = None

    def __enter__(self) -> Self:
        if lifecycle.is_initialized():
            raise RuntimeError(
                "sim.cluster() and sim.run() start a runtime of their own, and one is running: "
                "call raylite.shutdown() before"
            )
        session = self._session = begin(self.config, **self.settings)
        try:
            lifecycle.set_hooks()
            lifecycle.adopt(session)
            if self.faults_for_s is not None:
                session.stop_faults(self.faults_for_s)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self.session.check_invariants()
            elif hasattr(error, "add_note"):
                error.add_note(f"raylite.sim: with seed {self.seed}" + (f", {self.faults!r}" if self.faults else ""))
        finally:
            self._end()

    def _end(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.stop()
            lifecycle.shutdown()

    @property
    def session(self) -> SimulatedRuntime:
        """The runtime. Raises RuntimeError outside `with`."""
        if self._session is None:
            raise RuntimeError("the cluster is there inside `with sim.cluster(...) as c:`")
        return self._session

    def __repr__(self) -> str:
        return f"<raylite.sim cluster, seed {self.seed}, faults {self.faults}>"

    # ---- what it is like ----

    def now(self) -> float:
        """Virtual seconds since the start."""
        return self.session.now_s()

    def trace_hash(self) -> str:
        """The hash of all events that the nodes have handled so far: equal for equal seeds."""
        return self.session.trace_hash()

    def n_events(self) -> int:
        """How many events the nodes have handled so far."""
        return self.session.n_events()

    def events(self) -> list[dict[str, Any]]:
        """The events themselves, if they are recorded."""
        return self.session.events()

    def workers(self) -> list[dict[str, Any]]:
        """The workers: dicts with node (if there are several), client number, pid, running and queued tasks."""
        return self.session.workers()

    def sizes(self) -> dict[str, int]:
        """The sizes of all tables: zero when everything has been released and c.settle() was called."""
        return self.session.sizes()

    def occurred(self) -> list[dict[str, Any]]:
        """The faults so far: dicts with kind, number (among those of its kind; None: it was commanded), time_s, whom it
        befell, in words, and node: the number of the one that this is or is on."""
        return self.session.occurred()

    def story(self, *refs: Any) -> str:
        """What has happened to the tasks of these references, or to all, a line for each step in virtual time."""
        from raylite.sim.story import story_text

        return story_text(self.session, tasks={ref.hex()[:32] for ref in refs} or None)

    # ---- what can be done to it ----

    def settle(self) -> None:
        """Let everything happen that still can, and garbage go."""
        self.session.settle()

    def kill_worker(self, number: int | None = None, node: int | None = None) -> int:
        """Kill a worker as SIGKILL would: the one of this number, else the first that runs a task, else the first.

        Args: node: the number of the one it is on, by default the first that has such a worker. Returns its number.
        Raises ValueError if there is none.
        """
        workers = [(each.get("node", 0), each["client"], each["running"]) for each in self.workers()]
        workers = [each for each in workers if number in (None, each[1]) and node in (None, each[0])]
        if not workers:
            which = "" if number is None else f" {number}"
            where = "" if node is None else f" on node {node}"
            raise ValueError(f"there is no worker{which}{where}; there are {self._named_workers()}")
        on, number, _ = min([each for each in workers if each[2]] or workers)
        self.session.kill_worker(number, on)
        return number

    def _named_workers(self) -> str:
        named = [
            f"{each['client']}" + (f" on node {each['node']}" if "node" in each else "") for each in self.workers()
        ]
        return ", ".join(named) or "none"

    def lose(self, ref: Any) -> None:
        """Lose the bytes of a value in the object store: it is made again, or an ObjectLostError from then on.

        Raises ValueError if they cannot be lost, saying why: it is small, or somebody reads it.
        """
        self.session.lose(ref)

    def stop_faults(self) -> None:
        """No fault is drawn from now on; a virtual minute in which nothing gets on is a NoProgressError from now on."""
        self.session.stop_faults()

    def strike(self, kind: str, times: int = 1) -> None:
        """Have the next so many occasions of a kind of fault be faults, whatever its rate: see `sim.Faults`.

        Raises ValueError for a kind that has no occasions here.
        """
        self.session.strike(kind, times)

    def fill_store(self, node: int = 0, full: bool = True) -> None:
        """From now on the object store of a node gets no memory beyond what it has; with full=False it does again.

        Raises ValueError if there is no such node, or it is down; a node that comes back has memory.
        """
        self.session.fill_store(node, bool(full))

    def fill_disk(self, node: int, full: bool = True) -> None:
        """From now on no write to a node's disk succeeds; with full=False they do again. Raises as kill_node."""
        self._several().fill_disk(node, bool(full))

    def slow_node(self, node: int, times: float = 10.0) -> None:
        """From now on a node takes so many times as long for everything; 1: as it should.

        Raises ValueError if there is no such node, or times is not from 1 to 1000.
        """
        self._several().slow_node(node, times)

    def skew_clock(self, node: int, ahead_s: float = 0.0, rate: float = 1.0) -> None:
        """A node's clock goes ahead by so many seconds, and shows `rate` seconds for each true one from now on.

        Raises ValueError if there is no such node, ahead_s is not from 0 to 1e6, or rate not from 0.5 to 2.
        """
        self._several().skew_clock(node, ahead_s, rate)

    def set_link(self, start: int, end: int, *, one_way: bool = False, **what: float) -> None:
        """Say what lies between two nodes: latency_s, jitter_s, bytes_per_s, as sim.Network has them; the rest stays.

        Args: one_way: only from `start` to `end`. Raises TypeError or ValueError for what makes no sense.
        """
        self._several().set_link(start, end, one_way, **what)

    def kill_node(self, node: int, disk: bool = False) -> None:
        """A node dies with all that runs on it, as from one instant to the next.

        The program itself is on node 0: if that dies, every call raises DriverLostError. Args: disk: whether its disk
        is lost too; else it has what was on it when it comes back: the journals of the replicas of the control store
        that run there. Raises ValueError if there is no such node, or it is down.
        """
        self._several().kill_node(node, disk)

    def restart_node(self, node: int) -> None:
        """A node that died comes back, with nothing but its disk. Raises ValueError if there is none, or it is up."""
        self._several().restart_node(node)

    def kill_replica(self, replica: int) -> None:
        """A replica of the control store dies, and nothing else on its node. Each has the number of its node.

        While it is down the store waits for it, until the head has taken it out of its chains. Raises ValueError if
        there is no such replica, or it is down.
        """
        self._several().kill_replica(replica)

    def restart_replica(self, replica: int) -> None:
        """A replica that died comes back with its journal. Raises ValueError if there is none, or it is up, or its node
        is down."""
        self._several().restart_replica(replica)

    def kill_head(self) -> None:
        """The head dies: nobody is declared dead, or replaced, before it is back. Raises ValueError if it is down."""
        self._several().kill_head()

    def restart_head(self) -> None:
        """The head comes back with its journal. Raises ValueError if it is up."""
        self._several().restart_head()

    def partition(self, start: Any, end: Any = None, one_way: bool = False) -> int:
        """Cut nodes off from others; what is under way arrives.

        Args: start, end: sets of nodes, end: by default all others; one_way: only what `start` sends is lost. Returns
        the number of the partition. Raises ValueError if a side is empty, or has what there is not or the other has.
        """
        number: int = self._several().partition(start, end, one_way)
        return number

    def heal(self, number: int | None = None) -> None:
        """End the partition of this number, or all."""
        self._several().heal(number)

    def _several(self) -> Any:
        """The runtime, if it has several nodes. Raises ValueError."""
        if len(self.config.nodes) == 1:
            raise ValueError("that needs several nodes, and this cluster has one: sim.cluster(nodes=...) says how many")
        return self.session


def _seconds(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"faults_for_s is a number of virtual seconds, or None, not {value!r}")
    if not 0 <= value <= 1e9:
        raise ValueError(f"faults_for_s is from 0 to 1e9 virtual seconds, not {value!r}")
    return float(value)
