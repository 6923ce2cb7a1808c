"""Virtual clusters as the experiments need them: with a control plane other than the usual one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unittest import mock

from raylite import sim
from raylite._core.scheduler.global_scheduler import GlobalScheduler
from raylite._core.store.replica import Replica
from raylite.sim import cluster_session
from raylite.sim.control_plane import MASTER, PARTY_SCHEDULER, ControlPlane, address_of
from raylite.sim.party_host import PartyHost


@contextlib.contextmanager
def cluster(
    nodes: Sequence[sim.Node],
    *,
    seed: int = 1,
    plane: type[ControlPlane] = ControlPlane,
    store: Mapping[str, Any] | None = None,
    **options: Any,
) -> Iterator[sim.cluster]:
    """As sim.cluster. Args: plane: the class of the control plane; store: its arguments."""
    with mock.patch.object(cluster_session, "ControlPlane", plane):
        c = sim.cluster(seed, list(nodes), check=False, **options)
        c.settings["store"] = dict(store or {})
        with c:
            yield c


class UnawarePlane(ControlPlane):
    """Schedulers place tasks without a look at where their arguments are."""

    def scheduler(self, address: int, incarnation: int) -> GlobalScheduler:
        return GlobalScheduler(address, incarnation, ignores_locality=True, master=MASTER)


class SchedulerApartPlane(ControlPlane):
    """The scheduler is on the last node, where its delay can be set and nothing else is."""

    def __init__(self, cluster: Any, **options: Any) -> None:
        super().__init__(cluster, **options, n_schedulers=0)
        address = address_of(PARTY_SCHEDULER, 0)
        self.schedulers = [address]
        cluster.place(address, len(cluster.machines) - 2, self.maker(address, self.scheduler))


class KeepingPlane(ControlPlane):
    """The store keeps the rows of all tasks for ever: nothing is flushed."""

    def replica_maker(self, address: int) -> Any:
        def make(incarnation: int) -> PartyHost:
            machine = self.cluster.machines[self.cluster.places[address].machine]
            party = Replica(address, incarnation, flushes=False, debug=self.check)
            return PartyHost(self.cluster.network, machine, party)

        return make
