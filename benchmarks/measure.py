"""Who is measured when: the contestants of a workload take turns, each in a process of its own.

All contestants are started and warmed up first, then each takes one sample in every round. Around every turn the CPU
time of all of them is read, which tells whether a contestant that waits for its turn keeps still, and how much of the
CPUs went to processes that are no part of the run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import machine, processes
from benchmarks.peer import LIMIT_PREFIX
from benchmarks.peer_process import Peer, PeerFailed
from benchmarks.plan import Plan
from benchmarks.workload import Row, Workload

_INTERRUPT_PATIENCE_S = 2.0  # for each contestant to stop by itself after Ctrl-C


@dataclass
class Figures:
    """The samples of one contestant on one row, and what went wrong if anything did."""

    samples: list[float] = field(default_factory=list)
    error: str | None = None


@dataclass
class Usage:
    """Whose CPU time was used during the turns of a workload, in seconds."""

    turns_s: float = 0.0  # wall clock
    foreign_s: float = 0.0  # by processes that are no part of the run
    stolen_s: float = 0.0  # kept from this machine by its hypervisor
    waiting_s: dict[str, float] = field(default_factory=dict)  # by each contestant in the turns of the others
    waited_s: dict[str, float] = field(default_factory=dict)  # wall clock of the turns of the others

    def waiting_share(self, contestant: str) -> float:
        """How much of one core a contestant used while others were measured."""
        waited_s = self.waited_s.get(contestant, 0.0)
        return self.waiting_s[contestant] / waited_s if waited_s else 0.0

    def foreign_share(self, cpu_count: int) -> float:
        """How much of all the run's CPUs others used."""
        return self.foreign_s / (self.turns_s * cpu_count) if self.turns_s else 0.0


@dataclass
class RowResult:
    """A row with the figures of all contestants: libraries by their names, limits under `limit:` and theirs."""

    row: Row
    figures: dict[str, Figures]
    usage: Usage

    def samples(self, contestant: str) -> list[float]:
        figures = self.figures.get(contestant)
        return figures.samples if figures else []

    @property
    def limits(self) -> list[str]:
        """The limits of this row that were measured, in the order in which the row names them."""
        return [name for name in map(limit_contestant, self.row.limits) if self.samples(name)]


def limit_contestant(limit_name: str) -> str:
    return LIMIT_PREFIX + limit_name


def contestants_of(workload: Workload, libraries: Iterable[str], known_limits: Iterable[str]) -> list[str]:
    """Everyone who takes part in a workload, in the order of their turns."""
    return [*libraries, *(limit_contestant(name) for name in workload.limits if name in set(known_limits))]


def run_workload(
    workload: Workload,
    rows: Sequence[Row],
    contestants: Sequence[str],
    plan: Plan,
    progress: Callable[[str], None] = lambda _what: None,
) -> list[RowResult]:
    """Measure all `contestants` on `workload` in turns; a result for each of `rows`.

    A contestant that fails is out for the rest of the workload, and its figures say why.
    """
    children_before = processes.children()
    rounds = _Rounds(workload, contestants, plan, progress)
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            try:
                rounds.start_all(Path(folder))
                for number in range(1, plan.runs + 1):
                    rounds.play(number)
            except KeyboardInterrupt:
                rounds.close_all(patience_s=_INTERRUPT_PATIENCE_S)
                raise
            finally:
                rounds.close_all()
    finally:
        processes.end_children(spared=children_before)  # what the contestants left behind
    return [RowResult(row, rounds.figures_of(row), rounds.usage) for row in rows]


class _Rounds:
    """The contestants of one workload that are still in, and what they have shown so far."""

    def __init__(self, workload: Workload, contestants: Sequence[str], plan: Plan, progress) -> None:
        self._workload = workload
        self._contestants = contestants
        self._plan = plan
        self._progress = progress
        self._peers: list[Peer] = []
        self._samples: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
        self._errors: dict[str, str] = {}
        self.usage = Usage(waiting_s=dict.fromkeys(contestants, 0.0), waited_s=dict.fromkeys(contestants, 0.0))

    def start_all(self, folder: Path) -> None:
        """Start and warm up everyone, one at a time."""
        for name in self._contestants:
            self._progress(f"{self._workload.name}: starting {name}")
            peer = Peer(name, self._workload.name, self._plan, folder)
            self._peers.append(peer)
            with self._out_if_failed(peer):
                peer.ask("start")
                peer.ask("sample")

    def play(self, number: int) -> None:
        """One round: a sample of everyone who is still in."""
        for peer in list(self._peers):
            self._progress(f"{self._workload.name}: round {number} of {self._plan.runs}, {peer.contestant}")
            with self._out_if_failed(peer):
                with self._usage_counted(peer):
                    sample = peer.ask("sample")
                self._samples[peer.contestant].append(sample)

    def close_all(self, **patience) -> None:
        """Have everyone stop at once, and end those who do not."""
        self._progress(f"{self._workload.name}: stopping")
        for peer in self._peers:
            peer.dismiss()
        while self._peers:
            peer = self._peers.pop()
            if trouble := peer.close(**patience):
                self._errors[peer.contestant] = trouble

    def figures_of(self, row: Row) -> dict[str, Figures]:
        """The figures of every contestant that has a say about `row`."""
        return {
            name: Figures([sample[key] for sample in self._samples[name]], self._errors.get(name))
            for name in self._contestants
            if (key := _key_of(name, row)) is not None
        }

    @contextmanager
    def _out_if_failed(self, peer: Peer) -> Iterator[None]:
        try:
            yield
        except PeerFailed as failure:
            self._errors[peer.contestant] = str(failure)
            self._peers.remove(peer)
            peer.close()

    @contextmanager
    def _usage_counted(self, playing: Peer) -> Iterator[None]:
        before = _CpuTimes(self._peers, self._plan.cpus)
        start = time.perf_counter()
        yield
        elapsed_s = time.perf_counter() - start
        after = _CpuTimes(self._peers, self._plan.cpus)
        for peer in self._peers:
            if peer is not playing:
                self.usage.waiting_s[peer.contestant] += after.of(peer) - before.of(peer)
                self.usage.waited_s[peer.contestant] += elapsed_s
        self.usage.turns_s += elapsed_s
        self.usage.foreign_s += max(0.0, after.foreign_s - before.foreign_s)
        self.usage.stolen_s += after.stolen_s - before.stolen_s


class _CpuTimes:
    """CPU time used up to one moment."""

    def __init__(self, peers: Iterable[Peer], cpus: Sequence[int]) -> None:
        busy_s, self.stolen_s = machine.busy_and_stolen_s(cpus)
        snapshot = processes.Snapshot()
        self._of_peer = {peer.pid: snapshot.tree_cpu_s(peer.pid) for peer in peers}
        self.foreign_s = busy_s - snapshot.tree_cpu_s(os.getpid())

    def of(self, peer: Peer) -> float:
        return self._of_peer[peer.pid]


def _key_of(contestant: str, row: Row) -> str | None:
    """Under which name a contestant's samples hold its figure for `row`: a limit has one figure for all its rows."""
    if not contestant.startswith(LIMIT_PREFIX):
        return row.name
    limit_name = contestant.removeprefix(LIMIT_PREFIX)
    return limit_name if limit_name in row.limits else None
