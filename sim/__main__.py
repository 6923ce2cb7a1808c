"""`python -m raylite.sim`: workloads, or a program of yours, under many seeds; the one that fails, made small.

Exit codes: 0 all went well; 1 a wrong result; 2 wrong arguments, or nothing drawn; 3 no progress; 4 a crash; 5
not the same run twice.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from raylite.sim.determinism import Different, check_repeats
from raylite.sim.faults import Faults
from raylite.sim.nodes import N_NODES_MOST
from raylite.sim.shrink import Shrinking
from raylite.sim.trials import (
    CRASHED,
    RIGHT,
    STUCK,
    WRONG,
    ProgramTrials,
    Trial,
    Trials,
    WorkloadTrials,
    failing_numbers,
)
from raylite.sim.workloads import LARGE_WORKLOADS, WORKLOADS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

EXIT_CODES = {RIGHT: 0, WRONG: 1, STUCK: 3, CRASHED: 4}
NOT_REPEATED = 5
SEED_MOST = (1 << 64) - 1
SEEDS = click.IntRange(0, SEED_MOST)


class NotDrawn(click.ClickException):
    """What is to be looked at could not be written."""

    exit_code = click.UsageError.exit_code


def valid_faults(ctx: click.Context, param: click.Parameter, text: str) -> str:
    """What --faults takes."""
    try:
        Faults.parse(text, 0)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param)
    return text


def valid_drawing(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """What --graph and --timeline take: refused before anything runs."""
    if path is not None:
        from raylite.sim.graph import ENDINGS

        endings = ENDINGS if param.name == "graph" else (".json",)
        if Path(path).suffix.lower() not in endings:
            raise click.BadParameter(f"it ends in {' or '.join(endings)}, not as {path!r} does", ctx, param)
        if not Path(path).absolute().parent.is_dir():
            raise click.BadParameter(f"there is no folder {str(Path(path).parent)!r}", ctx, param)
    return path


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=(__doc__ or "").partition("\n\n")[2])
@click.option("--seed", type=SEEDS, default=0, help="The seed, or the first of --seeds.  [default: 0]")
@click.option("--seeds", "n_seeds", type=click.IntRange(1), default=1, help="How many seeds.  [default: 1]")
@click.option("--nodes", type=click.IntRange(1, N_NODES_MOST), default=1, help="How many nodes.  [default: 1]")
@click.option("--tasks", "n_tasks", type=click.IntRange(1), default=50, help="About how many tasks.  [default: 50]")
@click.option(
    "--faults",
    default="all",
    callback=valid_faults,
    help="all (drawn from the seed), none, or name=rate,...  [default: all]",
)
@click.option(
    "--workload",
    type=click.Choice([*WORKLOADS, *LARGE_WORKLOADS]),
    help="The workload.  [default: drawn from the seed]",
)
@click.option("--program", type=click.Path(exists=True, dir_okay=False), help="A program to run in place of one.")
@click.option("--check-determinism", is_flag=True, help="Run each seed in two processes, and compare.")
@click.option("--keep-going", is_flag=True, help="Go on after a seed that fails.")
@click.option("--no-shrink", is_flag=True, help="Leave the faults of a seed that fails as they are.")
@click.option("--story", is_flag=True, help="Tell the story of a seed that does not fail, too.")
@click.option(
    "--graph",
    type=click.Path(dir_okay=False),
    callback=valid_drawing,
    help="Draw the last seed's task graph: .dot, .png or .svg.",
)
@click.option(
    "--timeline",
    type=click.Path(dir_okay=False),
    callback=valid_drawing,
    help="Write the last seed as a trace for Perfetto: .json.",
)
@click.option("--record-to", type=click.Path(dir_okay=False), hidden=True)
def main(
    seed: int,
    n_seeds: int,
    check_determinism: bool,
    keep_going: bool,
    no_shrink: bool,
    story: bool,
    graph: str | None,
    timeline: str | None,
    record_to: str | None,
    **what: Any,
) -> None:
    """Run workloads, or a program, on a virtual cluster under faults, and see that they come out right.

    The faults stop after ten virtual seconds, and then everything must finish. A seed that fails is run again with
    fewer and fewer faults; what is left is shown, with what happened, and with the command that runs it again.
    """
    trials = trials_of(**what, quiet=n_seeds > 1 or record_to is not None)
    if record_to:
        sys.exit(record(trials, seed, record_to))
    if check_determinism and (graph or timeline):
        raise click.UsageError("--check-determinism keeps nothing to draw: leave out --graph and --timeline.")
    if seed + n_seeds - 1 > SEED_MOST:
        raise click.UsageError(f"the last of {n_seeds} seeds from {seed} on is larger than {SEED_MOST}.")
    trials.with_graph = graph is not None
    keep = story or graph is not None or timeline is not None
    came_to = RIGHT
    with Report() as report:
        for each in report.counted(range(seed, seed + n_seeds)):
            if check_determinism:
                report.see_repeated(trials, each)
                continue
            trial = trials.run(each, keep=keep)
            if story and trial.came_to == RIGHT:
                report.write(trial.story)
            report.see(trial)
            if trial.came_to != RIGHT:
                report.failure(trials, trial, shrink=not no_shrink)
                came_to = max(came_to, trial.came_to, key=EXIT_CODES.__getitem__)
                if not keep_going:
                    break
    if graph or timeline:
        draw(trial, graph, timeline)
    sys.exit(EXIT_CODES[came_to])


def trials_of(
    nodes: int,
    faults: str,
    n_tasks: int,
    workload: str | None,
    program: str | None,
    quiet: bool = True,
    **rest: Any,
) -> Trials:
    """What the arguments of the command say is to be run. Raises click.UsageError for what excludes each other."""
    if workload and program:
        raise click.UsageError("--workload and --program exclude each other.")
    try:
        if program:
            return ProgramTrials(program, quiet, nodes, faults)
        return WorkloadTrials(workload, n_tasks, nodes, faults)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--faults") from None


def draw(trial: Trial, graph: str | None, timeline: str | None) -> None:
    """Write what is to be looked at. Raises click.ClickException if it cannot be."""
    from raylite import sim

    try:
        if timeline is not None:
            sim.write_timeline(trial, timeline)
        if graph is not None:
            sim.write_graph(trial, graph)
    except (OSError, RuntimeError, ValueError) as error:
        raise NotDrawn(str(error)) from None


def record(trials: Trials, seed: int, path: str) -> int:
    """One run for check_repeats: what happened in it goes to a file."""
    trial = trials.run(seed, keep=True)
    names = ("trace_hash", "came_to", "events")
    Path(path).write_text(json.dumps({name: getattr(trial, name) for name in names}))
    return EXIT_CODES[trial.came_to]


def shrink(trials: Trials, trial: Trial) -> tuple[Trial, int]:
    """The same failure with the fewest faults, and how many runs it took to find it."""

    def fails(faults: Faults) -> list[tuple[str, int]] | None:
        again = trials.run(trial.seed, faults)
        return failing_numbers(again) if again.failure == trial.failure else None

    shrinking = Shrinking(trial.faults, failing_numbers(trial), fails)
    return trials.run(trial.seed, shrinking.run(), keep=True), shrinking.n_runs


class Report:
    """What is shown: a bar with seeds per second, failures above it, a line at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.console = Console(highlight=False, soft_wrap=True)
        self.bar = Progress(
            TextColumn("seeds"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]:.0f} seeds/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self.row: Any = None
        self.n_seeds = self.n_events = self.n_faults = 0
        self.virtual_s = 0.0
        self.last: Trial | None = None

    def __enter__(self) -> Report:
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self.stop()
        if kind is None:
            self.summary()

    def counted(self, seeds: range) -> Iterator[int]:
        """The seeds, one by one, with a bar if there are several and somebody to see it."""
        from time import CLOCK_MONOTONIC, clock_gettime

        begin = clock_gettime(CLOCK_MONOTONIC)
        if len(seeds) > 1:
            self.row = self.bar.add_task("", total=len(seeds), speed=0.0)
            self.bar.start()
        for seed in seeds:
            yield seed
            self.n_seeds += 1
            self.speed = self.n_seeds / max(clock_gettime(CLOCK_MONOTONIC) - begin, 1e-6)
            if self.row is not None:
                self.bar.update(self.row, advance=1, speed=self.speed)

    def stop(self) -> None:
        if self.row is not None:
            self.bar.stop()

    def write(self, text: str) -> None:
        self.console.print(text, markup=False)

    def see(self, trial: Trial) -> None:
        self.last = trial
        self.n_events += trial.n_events
        self.n_faults += len(trial.occurred)
        self.virtual_s += trial.virtual_s

    def see_repeated(self, trials: Trials, seed: int) -> None:
        """Run a seed in two processes. Ends the program if they differ."""
        trial = Trial(seed, trials.faults_for(seed))
        try:
            trace_hash = check_repeats(trials.arguments(trial))
        except Different as different:
            self.stop()
            self.write(f"seed {seed} is not the same run in two processes: {different}")
            self.replay(trials, trial, "--check-determinism")
            sys.exit(NOT_REPEATED)
        except RuntimeError as error:  # a process of the two that did not come to its end
            self.stop()
            self.write(f"seed {seed}: {CRASHED}\n{error}")
            self.replay(trials, trial, "--check-determinism")
            sys.exit(EXIT_CODES[CRASHED])
        self.write(f"seed {seed} is the same run in two processes: {trace_hash}")

    def failure(self, trials: Trials, trial: Trial, shrink: bool) -> None:
        """Say all about a seed that fails."""
        self.write(f"seed {trial.seed}: {trial.came_to}\n{trial.error_text}")
        if shrink and trial.faults:
            least, n_runs = globals()["shrink"](trials, trial)
            self.write(f"\nfaults: {trial.faults}\nshrunk to: {least.faults} (in {n_runs} runs)")
        else:
            least = trials.run(trial.seed, trial.faults, keep=True)
            self.write(f"\nfaults: {trial.faults}")
        if least.failure != trial.failure or (least.faults == trial.faults and least.trace_hash != trial.trace_hash):
            self.write("It is not the same run each time: --check-determinism says where it differs.")
        if least.output:
            self.write(f"\nwhat it printed:\n{least.output.rstrip()}")
        self.write(f"\nwhat happened, in virtual time:\n{least.story}")
        self.replay(trials, least)

    def replay(self, trials: Trials, trial: Trial, *more: str) -> None:
        command = shlex.join(["python", "-m", "raylite.sim", *trials.arguments(trial), *more])
        self.write(f"\nto run it again:\n  {command}")

    def summary(self) -> None:
        if self.last is None:
            return
        if self.n_seeds <= 1 and self.last.came_to == RIGHT:
            self.write(
                f"seed {self.last.seed}: right; faults {self.last.faults}, of which {self.n_faults} happened; "
                f"{self.n_events} events in {self.virtual_s:.6f} virtual s; trace {self.last.trace_hash}"
            )
        elif self.n_seeds > 1:
            self.write(
                f"{self.n_seeds} seeds, {self.speed:.0f} a second; {self.n_faults} faults; {self.n_events} events in "
                f"{self.virtual_s:.3f} virtual s"
            )


if __name__ == "__main__":
    main(prog_name="python -m raylite.sim")
