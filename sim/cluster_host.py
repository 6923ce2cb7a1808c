"""What runs on the machines of a virtual cluster: parties by their addresses, started, killed, and started again.

A party that starts has the next incarnation, and what its machine's disk has kept; all else of the one before is gone.
A machine that dies takes all its parties along, and comes back with all of them.
"""

from __future__ import annotations

from raylite.sim.alarms import Alarms
from raylite.sim.cluster_network import ClusterNetwork
from raylite.sim.disk import Disk
from raylite.sim.machine import Machine

RESTART_LEAST_S = 0.005
RESTART_DOUBLINGS = 10
FENCED_RESTART_S = 0.001
KINDS_OF_PARTIES = ("party", "node", "replica", "head", "scheduler")
DISKS_KEPT = 7  # by machines that die, for each that is lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any


def name_of(address: int) -> str:
    """What a party is called where people read it."""
    kind, number = address >> 24, address & 0xFFFFFF
    return "the head" if kind == 3 else f"{KINDS_OF_PARTIES[kind]} {number}"


class Place:
    """Where a party runs, and how it is made."""

    __slots__ = ("address", "crash_fault", "host", "incarnation", "machine", "make")

    def __init__(self, address: int, machine: int, make: Callable[[int], Any], crash_fault: str | None) -> None:
        self.address = address
        self.machine = machine
        self.make: Callable[[int], Any] | None = make
        self.crash_fault = crash_fault
        self.incarnation = 0
        self.host: Any = None


class ClusterHost:
    """Args: kernel; n_machines: how many; spared: numbers of those that no fault crashes, or cuts off for long;
    record: keep the stream of events, and not only its hash; network: arguments of ClusterNetwork.

    Attributes: machines, disks: by number; network; may_crash: called with the addresses that a fault is about to
    crash; the fault is left out if it returns False; may_wipe: likewise, for those whose disk is lost too; on_killed:
    called with a machine's number, or a Place, when it is gone.
    """

    def __init__(
        self, kernel: Any, n_machines: int, *, spared: Iterable[int] = (), record: bool = False, **network: Any
    ) -> None:
        self.kernel = kernel
        self.machines = [Machine(number) for number in range(n_machines)]
        self.disks = [Disk(kernel, machine) for machine in self.machines]
        self.network = ClusterNetwork(kernel, self.machines, spared=spared, record=record, **network)
        self.alarms = Alarms(kernel)
        self.spared = frozenset(spared)
        self.places: dict[int, Place] = {}
        self.down: set[int] = set()
        self.retired: list[Any] = []  # events that are planned still name them
        self.may_crash: Callable[[list[int]], bool] = lambda addresses: True
        self.may_wipe: Callable[[list[int]], bool] = lambda addresses: True
        self.on_killed: Callable[[Any], None] = lambda what: None
        for number in range(n_machines):
            self.network.draw_machine(number)

    # ---- parties ----

    def place(self, address: int, machine: int, make: Callable[[int], Any], crash_fault: str | None = None) -> Any:
        """Start a party on a machine. Args: make: called with an incarnation, returns the party's host; crash_fault:
        what kind of fault may befall it at each of its events. Returns the host."""
        if crash_fault == "node_crash" and machine in self.spared:
            crash_fault = None
        self.places[address] = Place(address, machine, make, crash_fault)
        return self.start(address)

    def start(self, address: int) -> Any:
        """Start a party that does not run."""
        place = self.places[address]
        place.incarnation += 1
        assert place.make is not None
        host = place.host = place.make(place.incarnation)
        host.on_crash = self.crashed
        host.on_fenced = self.fenced
        host.set_crash_fault(place.crash_fault)
        host.start()
        return host

    def host(self, address: int) -> Any:
        """The host of a party, None if it does not run. Raises KeyError for an address that there is not."""
        return self.places[address].host

    def kill(self, address: int) -> None:
        """End a party, as from one instant to the next. Fine if it does not run."""
        place = self.places[address]
        host, place.host = place.host, None
        if host is not None:
            self.retired.append(host)
            host.end()
            self.on_killed(place)

    def restart(self, address: int) -> None:
        """Start a party unless it runs, or its machine is down: then it comes back with that."""
        place = self.places[address]
        if place.host is None and place.machine not in self.down:
            self.start(address)

    def kill_one(self, address: int) -> None:
        """End a party, as kill(), by command. Raises ValueError if it is down."""
        if self.places[address].host is None:
            raise ValueError(f"{name_of(address)} is down already")
        self.soon(lambda: self.kill(address))

    def restart_one(self, address: int) -> None:
        """Start a party by command. Raises ValueError if it is not down, or its machine is."""
        place = self.places[address]
        if place.host is not None:
            raise ValueError(f"{name_of(address)} is not down")
        if place.machine in self.down:
            raise ValueError(f"{name_of(address)} is on node {place.machine}, which is down")
        self.soon(lambda: self.restart(address))

    def soon(self, call: Callable[[], None]) -> None:
        """Do it now; from within a task, which it may end, right after that has given way."""
        if self.kernel.in_task:
            self.alarms.after(0.0, call)
        else:
            call()

    def on(self, machine: int) -> list[int]:
        """The addresses of the parties on a machine."""
        return [address for address, place in self.places.items() if place.machine == machine]

    # ---- machines ----

    def kill_machine(self, number: int, disk: bool = False) -> None:
        """A machine dies, with all that runs on it. Args: disk: whether its disk is lost too.

        Raises ValueError if there is none of this number or it is down."""
        self.network.checked(number)
        if number in self.down:
            raise ValueError(f"machine {number} is down already")
        self.soon(lambda: self.go_down(number, disk))

    def go_down(self, number: int, disk: bool) -> None:
        if number in self.down:
            return
        self.down.add(number)
        self.disks[number].crash()
        for address in self.on(number):
            self.kill(address)
        if disk:
            self.disks[number].wipe()
        self.on_killed(number)

    def restart_machine(self, number: int) -> None:
        """A machine comes back, with its disk. Raises ValueError if there is none of this number, or it is not down."""
        self.network.checked(number)
        if number not in self.down:
            raise ValueError(f"machine {number} is not down")
        self.soon(lambda: self.come_back(number))

    def come_back(self, number: int) -> None:
        if number in self.down:
            self.down.discard(number)
            for address in self.on(number):
                self.restart(address)

    # ---- faults ----

    def crashed(self, host: Any, kind: str, number: int) -> bool:
        """A fault befalls a party: it ends, with its machine if it is a node, and comes back. False: it is left out."""
        place = self.places[host.address]
        delay_s = self.network.drawn_s(kind, number, RESTART_LEAST_S, RESTART_DOUBLINGS)
        if kind == "node_crash":
            addresses = self.on(place.machine)
            if not self.may_crash(addresses):
                return False
            disk = self.network.drawn_below(kind, number, DISKS_KEPT + 1) == 0 and self.may_wipe(addresses)
            self.kill_machine(place.machine, disk)
            self.alarms.after(delay_s, lambda: self.come_back(place.machine))
        else:
            if not self.may_crash([place.address]):
                return False
            self.kill(place.address)
            self.alarms.after(delay_s, lambda: self.restart(place.address))
        return True

    def fenced(self, host: Any) -> None:
        """A party was told that it counts as dead: it stops, and starts anew."""
        place = self.places[host.address]
        if place.host is host:
            self.kill(place.address)
            self.alarms.after(FENCED_RESTART_S, lambda: self.restart(place.address))

    def close(self) -> None:
        """End everything: nothing comes back."""
        for address in self.places:
            self.kill(address)
        self.retired.clear()
        self.on_killed = lambda what: None
        for place in self.places.values():
            place.make = None  # which refers to who closes: let both go without the garbage collector
