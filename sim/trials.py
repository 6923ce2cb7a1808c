"""One program under one seed: run, and what came of it told apart.

A trial is right, or its result is wrong, or it made no progress, or it crashed. A workload knows what it must give; a
program of the user's says so itself, by an assertion that fails or any other error.
"""

from __future__ import annotations

import contextlib
import io
import sys
import traceback

from raylite import config, lifecycle
from raylite.sim import session as sessions
from raylite.sim.errors import DeadlockError, NoProgressError
from raylite.sim.faults import Faults
from raylite.sim.nodes import check_nodes
from raylite.sim.story import concerned, story_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

RIGHT, WRONG, STUCK, CRASHED = "right", "wrong result", "no progress", "crash"
FAULTS_FOR_S = 10.0  # virtual seconds of faults; then everything must finish


class NotEmpty(AssertionError):
    """After everything has been released, tables still have rows."""


class Trial:
    """What came of one seed.

    Attributes: seed, faults: what was run; came_to: RIGHT, WRONG, STUCK or CRASHED; error: what was raised, or None;
    trace_hash, n_events, virtual_s: of the simulation; occurred: the faults that happened; events, story, recording: if
    kept, the last with a task graph if that is wanted.
    """

    def __init__(self, seed: int, faults: Faults, keep: bool = False, with_graph: bool = False) -> None:
        self.seed = seed
        self.faults = faults
        self.keep = keep
        self.with_graph = with_graph
        self.recording: Any = None
        self.came_to = RIGHT
        self.error: BaseException | None = None
        self.trace_hash = ""
        self.n_events = 0
        self.virtual_s = 0.0
        self.occurred: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.story = ""
        self.output = ""

    def see(self, session: Any) -> None:
        """Note what a simulation was like, just before it ends."""
        self.trace_hash = session.trace_hash()
        self.n_events = session.n_events()
        self.virtual_s = session.now_s()
        self.occurred = session.occurred()
        if self.keep:
            self.events = session.events()
            self.story = story_text(session, concerned(session))
            self.recording = session.recording(with_graph=self.with_graph)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.came_to = classify(error)

    @property
    def failure(self) -> tuple[str, str] | None:
        """What two failures have in common that are one; None if there is none."""
        return None if self.error is None else (self.came_to, type(self.error).__name__)

    @property
    def error_text(self) -> str:
        """The error, and for what nobody foresaw also where it came from."""
        if self.error is None:
            return ""
        if self.came_to == CRASHED:
            return "".join(traceback.format_exception(self.error)).rstrip()
        return f"{type(self.error).__name__}: {self.error}"


def classify(error: BaseException) -> str:
    """Which kind of failure an error is."""
    if isinstance(error, (DeadlockError, NoProgressError)):
        return STUCK
    return WRONG if isinstance(error, AssertionError) else CRASHED


def failing_numbers(trial: Any) -> list[tuple[str, int]]:
    """The faults that the draws brought about in a Trial or the like, as Shrinking takes them."""
    return [(fault["kind"], fault["number"]) for fault in trial.occurred if fault["number"] is not None]


class Trials:
    """Runs trials: a workload, or a program's file. Args: nodes: how many, by default 1; faults: as Faults.of takes
    them. Raises TypeError or ValueError for what makes no sense.

    Attributes: check: check every table after every event (default: in a debug build); with_graph: whether what is kept
    has a task graph."""

    check: bool | None = None
    with_graph = False

    def __init__(self, nodes: Any = None, faults: Any = None) -> None:
        self.nodes = nodes
        self.n_nodes = 1 if nodes is None else len(check_nodes(nodes))
        self.faults = faults
        self.faults_for(0)

    def faults_for(self, seed: int) -> Faults:
        """The faults of a seed."""
        return Faults.of(self.faults, seed, self.n_nodes)

    def run(self, seed: int, faults: Faults | None = None, *, keep: bool = False) -> Trial:
        """Run one seed, under these faults instead of its own; keep: its events and story too."""
        trial = Trial(seed, self.faults_for(seed) if faults is None else faults, keep, self.with_graph)
        sessions.at_end.append(trial.see)
        try:
            self.perform(trial)
        except Exception as error:
            trial.fail(error)
        finally:
            sessions.at_end.remove(trial.see)
        return trial

    def perform(self, trial: Trial) -> None:
        raise NotImplementedError

    def arguments(self, trial: Trial) -> list[str]:
        """The arguments of the command line that run this trial again."""
        nodes = ["--nodes", str(self.n_nodes)] if self.n_nodes > 1 else []
        return [*self.what(trial.seed), *nodes, "--seed", str(trial.seed), "--faults", str(trial.faults)]

    def what(self, seed: int) -> list[str]:
        raise NotImplementedError


class WorkloadTrials(Trials):
    """Args: name: of a workload, or None: each seed has its own, and very many tasks `synthetic`; n_tasks; nodes,
    faults: see Trials."""

    def __init__(self, name: str | None, n_tasks: int, nodes: Any = None, faults: Any = None) -> None:
        from raylite.sim import workloads

        super().__init__(nodes, faults)
        self.name = name
        self.n_tasks = n_tasks
        self.run_workload, self.let_go = workloads.run, workloads.let_go
        is_large = n_tasks > workloads.DRAWN_MOST
        self.names = list(workloads.LARGE_WORKLOADS if is_large else workloads.WORKLOADS)

    def name_for(self, seed: int) -> str:
        return self.name or self.names[seed % len(self.names)]

    def perform(self, trial: Trial) -> None:
        from raylite.sim.virtual_cluster import Cluster

        with Cluster(
            trial.seed, self.nodes, trial.faults, faults_for_s=FAULTS_FOR_S, record=trial.keep, check=self.check
        ) as cluster:
            self.run_workload(self.name_for(trial.seed), self.n_tasks, trial.seed)
            cluster.settle()  # tasks that nobody waits for any more export functions, too
            self.let_go()
            check_empty(cluster)

    def what(self, seed: int) -> list[str]:
        return ["--workload", self.name_for(seed), "--tasks", str(self.n_tasks)]


class ProgramTrials(Trials):
    """A program that is not changed: it finds a simulator where it would find workers. Args: path: its file; quiet:
    keep what it prints to itself; nodes, faults: see Trials."""

    def __init__(self, path: str, quiet: bool, nodes: Any = None, faults: Any = None) -> None:
        super().__init__(nodes, faults)
        self.path = path
        self.quiet = quiet

    def perform(self, trial: Trial) -> None:
        variables = config.simulation_variables(trial.seed, self.nodes, trial.faults)
        output = io.StringIO()
        shown = contextlib.redirect_stdout(output) if self.quiet else contextlib.nullcontext()
        sessions.at_start.append(stop_faults_later)
        sessions.recording = trial.keep
        try:
            with config.VariablesSet(variables), shown:
                self.run_file()
        finally:
            sessions.at_start.remove(stop_faults_later)
            sessions.recording = False
            trial.output = output.getvalue()

    def run_file(self) -> None:
        """Run the file as `python file` would."""
        import runpy

        arguments, modules = sys.argv, set(sys.modules)
        sys.argv = [self.path]
        try:
            runpy.run_path(self.path, run_name="__main__")
        except SystemExit as ending:
            if ending.code not in (None, 0):
                raise RuntimeError(f"the program ended with exit code {ending.code}") from None
        finally:
            lifecycle.shutdown()
            sys.argv = arguments
            forget_beside(self.path, set(sys.modules) - modules)

    def what(self, seed: int) -> list[str]:
        return ["--program", self.path]


def check_empty(cluster: Any) -> None:
    """Raise NotEmpty unless every table is empty and every resource free: what is left is who speaks to the store."""
    cluster.settle()
    sizes = cluster.sizes()
    sizes.pop("store endpoints", None)
    if left := {name: size for name, size in sizes.items() if size}:
        raise NotEmpty(f"everything has been released, and there is still {left}")
    for node in cluster.session.alive():
        taken = {name: total - free for name, (total, free) in node_resources(node).items() if total != free}
        if taken:
            raise NotEmpty(f"everything has ended, and of node {node.number} there is still in use {taken}")


def node_resources(node: Any) -> dict[str, tuple[int, int]]:
    """What a node has, and what of it is free, in 1/10000."""
    resources: dict[str, tuple[int, int]] = node.node.resources()
    return resources


def stop_faults_later(session: Any) -> None:
    """Let faults fall for a while only."""
    session.stop_faults(FAULTS_FOR_S)


def forget_beside(path: str, names: set[str]) -> None:
    """Modules that a program imported from its own folder are its own: the next run imports them anew."""
    from os.path import abspath, dirname

    folder = dirname(abspath(path))
    for name in names:
        if dirname(getattr(sys.modules[name], "__file__", None) or "") == folder:
            del sys.modules[name]
