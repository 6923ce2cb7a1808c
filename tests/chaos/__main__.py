"""`make chaos`: random programs whose workers are killed, for as long as is asked for."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

import raylite
from tests import leaks
from tests.chaos import boundaries
from tests.chaos.campaign import Campaign


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0), default=600.0, show_default=True, help="For how long.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the programs, and of who is killed.")
@click.option("--interval", "interval_s", type=click.FloatRange(min=0, min_open=True), default=0.1, show_default=True,
              help="Mean time from one kill to the next, in seconds.")  # fmt: skip
@click.option("--first-round", type=click.IntRange(min=0), default=0, help="Where to begin, to see a round again.")
def main(seconds: float, seed: int, interval_s: float, first_round: int) -> None:
    """Run random programs on real processes, with a random worker killed again and again."""
    leaks.isolate()
    at_every_boundary()
    campaign = Campaign(seed, interval_s, seconds, first_round)
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("round 0", total=seconds)
        for tally in campaign.run():
            elapsed_s = time.monotonic() - start
            progress.update(bar, completed=elapsed_s, description=f"round {tally.n_rounds}, {tally.n_results} results")
    tally = campaign.tally
    killed = ", ".join(f"{count} by {way}" for way, count in tally.killed.items())
    click.echo(f"{tally.n_rounds} rounds, {tally.n_results} results, all as in a serial run. Killed: {killed}.")


def at_every_boundary() -> None:
    """A worker killed at each message boundary of each short program."""
    with tempfile.TemporaryDirectory() as folder:
        for name in boundaries.PROGRAMS:
            raylite.init(num_cpus=1)
            n_died = len(list(boundaries.every_boundary(name, Path(folder))))
            raylite.shutdown()
            click.echo(
                f"A worker killed at each of {n_died} message boundaries of the program '{name}': all came out right."
            )


if __name__ == "__main__":
    main(prog_name="python -m tests.chaos")
