"""The pytest plugin: tests that run in a virtual cluster, under many seeds, and tell how to run again what fails.

Each seed is a run of the whole test with its fixtures made anew, so a replay of one seed is the same run. Loading this
loads nothing of raylite that takes time; the rest comes with the first test that is simulated.
"""

from __future__ import annotations

import copy
import sys
import time
from types import MethodType

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MARKER = "raylite_sim"
FIXTURE = "raylite_sim"
SEEDS_DEFAULT = 100
FAULTS_FOR_S = 10.0  # virtual seconds
BAR_PERIOD_S = 0.1
OWN_ARGUMENTS = ("seeds", "nodes", "faults", "faults_for_s")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options that replay a seed."""
    group = parser.getgroup("raylite.sim", "simulated tests")
    group.addoption("--raylite-sim-seed", type=int, metavar="N", help="Run simulated tests under this seed only.")
    group.addoption("--raylite-sim-seeds", type=int, metavar="N", help="Run them under so many seeds.")
    group.addoption("--raylite-sim-faults", metavar="FAULTS", help="Their faults: all, none or name=rate,...")
    group.addoption("--raylite-sim-no-shrink", action="store_true", help="Do not look for fewer faults that fail.")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, for --markers and --strict-markers."""
    config.addinivalue_line(
        "markers",
        "raylite_sim(seeds=100, nodes=1, faults='all', faults_for_s=10.0, **options): run the test in a virtual "
        "cluster, under each of so many seeds (or under these); options are those of raylite.sim.cluster and init.",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """A marked test has the fixture, named or not."""
    names = getattr(item, "fixturenames", None)
    if names is not None and FIXTURE not in names and item.get_closest_marker(MARKER):
        names.insert(first_of_test(item, names), FIXTURE)  # so that what fixtures call runs in the cluster too


def first_of_test(item: pytest.Item, names: list[str]) -> int:
    """Where the fixtures begin that are made for each test: those of wider scope are outside of the cluster."""
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    scopes = [definitions[name][-1].scope if definitions.get(name) else "wide" for name in names]
    return scopes.index("function") if "function" in scopes else len(names)


@pytest.fixture
def raylite_sim(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A virtual cluster (raylite.sim.Cluster) around the test; with seed 0 and no faults if it is not marked."""
    run = getattr(request.node, "_raylite_sim", None)
    if run is None:  # somebody else runs the items
        run = Settings(request.node).run(0)
    with run.cluster() as cluster:
        yield cluster


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A simulated test runs once for each seed."""
    if FIXTURE not in getattr(item, "fixturenames", ()):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in SimulatedTest(item, nextitem).reports():
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[Any]:
    """While the cluster is still there: keep what a failure may have to be told with."""
    outcome: Any = yield
    run = getattr(item, "_raylite_sim", None)
    if run is not None:
        run.see(call, outcome.get_result())


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many seeds there were."""
    totals = terminalreporter.config.stash.get(TOTALS, None)
    if totals is not None and totals.n_seeds:
        speed = totals.n_seeds / max(totals.seconds, 1e-6)
        terminalreporter.write_line(
            f"raylite.sim: {totals.n_tests} tests under {totals.n_seeds} seeds, {speed:.0f} a second"
        )


class Totals:
    """What all simulated tests came to."""

    def __init__(self) -> None:
        self.n_tests = self.n_seeds = 0
        self.seconds = 0.0


TOTALS = pytest.StashKey[Totals]()


class Settings:
    """What the marker and the command line say of a test."""

    def __init__(self, item: pytest.Item) -> None:
        marker = item.get_closest_marker(MARKER)
        given = dict(marker.kwargs) if marker else {}
        if marker and marker.args:
            raise TypeError(
                f"raylite_sim takes its arguments by name ({', '.join(OWN_ARGUMENTS)}), not {marker.args!r}"
            )
        option = item.config.getoption
        self.seeds = seeds_of(given.pop("seeds", SEEDS_DEFAULT) if marker else 1)
        if option("--raylite-sim-seeds") is not None and marker:
            self.seeds = seeds_of(option("--raylite-sim-seeds"))
        if option("--raylite-sim-seed") is not None:
            self.seeds = seeds_of([option("--raylite-sim-seed")])
        self.faults = given.pop("faults", "all" if marker else None)
        if option("--raylite-sim-faults") is not None:
            self.faults = option("--raylite-sim-faults")
        self.options = {"faults_for_s": FAULTS_FOR_S, **given}
        self.n_nodes = number_of_nodes(self.options.get("nodes"))
        self.run(self.seeds[0]).cluster()  # refuses what makes no sense before anything runs

    def run(self, seed: int, faults: Any = None) -> Run:
        from raylite.sim.faults import Faults

        return Run(seed, Faults.of(self.faults if faults is None else faults, seed, self.n_nodes), self.options)


def number_of_nodes(nodes: Any) -> int:
    """How many nodes an argument means. Raises TypeError or ValueError."""
    from raylite.sim.nodes import check_nodes

    return 1 if nodes is None else len(check_nodes(nodes))


def seeds_of(value: Any) -> list[int]:
    """The seeds that an argument means: so many from 0 on, or these. Raises TypeError or ValueError."""
    from raylite.sim.faults import check_seed

    if isinstance(value, bool) or not isinstance(value, (int, list, tuple, range, set, frozenset)):
        raise TypeError(f"seeds are how many, or a list of them, not {value!r}")
    seeds = list(range(value)) if isinstance(value, int) else [check_seed(seed) for seed in value]
    if not seeds:
        raise ValueError(f"there must be at least one seed, and seeds is {value!r}")
    return seeds


class Run:
    """One run of a test: under a seed and faults; and what came of it."""

    def __init__(self, seed: int, faults: Any, options: dict[str, Any]) -> None:
        self.seed = seed
        self.faults = faults
        self.options = options
        self.reports: list[pytest.TestReport] = []
        self.failure: tuple[str, str] | None = None
        self.occurred: list[dict[str, Any]] = []
        self.story = self.trace_hash = self.came_to = ""
        self.seconds: dict[str, float] = {}
        self.began_s = 0.0

    def cluster(self) -> Any:
        from raylite.sim import cluster

        return cluster(self.seed, faults=self.faults, **self.options)

    def see(self, call: pytest.CallInfo, report: pytest.TestReport) -> None:
        now_s = real_s()
        report.duration = now_s - self.began_s  # the clocks that pytest reads have been virtual
        report.stop = report.start + report.duration
        self.began_s = now_s
        session = current_session()
        if session is not None and (call.when == "call" or not self.trace_hash):
            self.trace_hash = session.trace_hash()
            self.occurred = session.occurred()
        if report.failed and self.failure is None and call.excinfo is not None:
            from raylite.sim.trials import classify

            self.came_to = classify(call.excinfo.value)
            self.failure = call.when, call.excinfo.typename
            if session is not None:
                from raylite.sim.story import concerned, story_text

                self.story = story_text(session, concerned(session))


class SimulatedTest:
    """A test under all its seeds. Args: as pytest_runtest_protocol has them."""

    def __init__(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        self.item = item
        self.nextitem = nextitem
        self.between = copy.copy(item)  # that another item follows: so that fixtures of wider scope stay
        self.n_seeds = 0

    def reports(self) -> list[pytest.TestReport]:
        """Run it; the reports of the run that failed, or of the last one."""
        begin_s = real_s()
        try:
            settings = Settings(self.item)
        except (TypeError, ValueError) as error:
            return [self.refusal(error)]
        bar = Bar(self.item, len(settings.seeds))
        run = None
        for seed in settings.seeds:
            run = self.run(settings, seed)
            self.n_seeds += 1
            bar.show(self.n_seeds)
            if run.failure or any(report.skipped for report in run.reports):
                break
        bar.clear()
        assert run is not None
        if run.failure:
            run = self.explain(settings, run)
        ended = self.tear_down()
        totals = self.item.config.stash.setdefault(TOTALS, Totals())
        totals.n_tests += 1
        totals.n_seeds += self.n_seeds
        totals.seconds += real_s() - begin_s
        return run.reports + ended

    def run(self, settings: Settings, seed: int, faults: Any = None) -> Run:
        """Run the test once, with all its fixtures."""
        from _pytest.runner import runtestprotocol

        run = settings.run(seed, faults)
        self.item._raylite_sim = run  # type: ignore[attr-defined]
        run.began_s = real_s()
        self.make_new()
        try:
            run.reports = runtestprotocol(self.item, log=False, nextitem=self.between)
        finally:
            del self.item._raylite_sim  # type: ignore[attr-defined]
        return run

    def make_new(self) -> None:
        """The item as it was collected: an instance of its class of its own, and nothing captured."""
        self.item._report_sections.clear()
        method = getattr(self.item, "_obj", None)
        if isinstance(method, MethodType) and getattr(self.item, "_instance", None) is method.__self__:
            instance = item_class(method)()
            self.item._instance = instance  # type: ignore[attr-defined]
            self.item._obj = MethodType(method.__func__, instance)  # type: ignore[attr-defined]

    def tear_down(self) -> list[pytest.TestReport]:
        """End what was kept for a run that does not come; a report if that fails."""
        state = self.item.session._setupstate
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(self.nextitem), "teardown")
        return [] if call.excinfo is None else [pytest.TestReport.from_item_and_call(self.item, call)]

    def refusal(self, error: Exception) -> pytest.TestReport:
        """A marker that makes no sense, as an error of the test's setup."""

        return pytest.TestReport(
            self.item.nodeid, self.item.location, {}, "failed", f"{self.item.nodeid}: {error}", "setup"
        )

    # ---- a failure ----

    def explain(self, settings: Settings, run: Run) -> Run:
        """The same failure with the fewest faults, told in its reports."""
        from raylite.sim.shrink import Shrinking
        from raylite.sim.trials import failing_numbers

        latest = run
        n_runs = 0
        again = self.run(settings, run.seed, run.faults)
        repeated = again.failure == run.failure and again.trace_hash == run.trace_hash
        if repeated and run.faults and not self.item.config.getoption("--raylite-sim-no-shrink"):

            def fails(faults: Any) -> list[tuple[str, int]] | None:
                nonlocal latest
                candidate = self.run(settings, run.seed, faults)
                if candidate.failure != run.failure:
                    return None
                latest = candidate
                return failing_numbers(candidate)

            shrinking = Shrinking(run.faults, failing_numbers(run), fails)
            shrinking.run()
            n_runs = shrinking.n_runs
        lines = [f"{run.came_to}: {WHAT[run.came_to]}", f"faults: {run.faults}"]
        if n_runs:
            lines.append(f"shrunk to: {latest.faults} (in {n_runs} runs)")
        if not repeated:
            lines.append(
                "It does not fail in the same way each time: the test depends on something that is not simulated."
            )
        if latest.story:
            lines += ["", "what happened, in virtual time:", latest.story]
        lines += ["", "to run it again:", f"  {self.replay(latest)}"]
        add_section(latest.reports, f"raylite.sim: seed {run.seed}", "\n".join(lines))
        return latest

    def replay(self, run: Run) -> str:
        import shlex

        arguments = [self.item.nodeid, f"--raylite-sim-seed={run.seed}", f"--raylite-sim-faults={run.faults}"]
        return shlex.join(["pytest", *arguments])


WHAT = {
    "wrong result": "an assertion does not hold",
    "no progress": "the program waits for what does not come",
    "crash": "the test raised what it did not expect",
}


def item_class(method: MethodType) -> type[Any]:
    """The class of a test's method."""
    return type(method.__self__)


def add_section(reports: list[pytest.TestReport], title: str, text: str) -> None:
    """Show a text below a failure."""
    for report in reports:
        if report.failed:
            add = getattr(report.longrepr, "addsection", None)
            if add is not None:
                add(title, text)
            else:
                report.longrepr = f"{report.longrepr}\n{title}\n{text}"


def current_session() -> Any:
    """The simulation that is under way, or None."""
    sessions = sys.modules.get("raylite.sim.session")
    return None if sessions is None else sessions._current


def real_s() -> float:
    """Real time, also where time is virtual."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Bar:
    """The progress line of one test, on a terminal."""

    def __init__(self, item: pytest.Item, total: int) -> None:
        self.reporter: Any = item.config.pluginmanager.get_plugin("terminalreporter")
        self.visible = total > 1 and self.reporter is not None and self.reporter._tw.hasmarkup
        self.name = item.nodeid
        self.total = total
        self.begin_s = self.shown_s = real_s()

    def show(self, done: int) -> None:
        now_s = real_s()
        if self.visible and now_s - self.shown_s >= BAR_PERIOD_S:
            self.shown_s = now_s
            speed = done / (now_s - self.begin_s)
            self.reporter.rewrite(f"{self.name} {done}/{self.total} seeds, {speed:.0f} a second ", erase=True)

    def clear(self) -> None:
        if self.visible and self.shown_s > self.begin_s:
            self.reporter.rewrite("", erase=True)
