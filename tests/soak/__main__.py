"""`make soak`: 10 million tasks, 1 million puts and 100,000 actor calls, or a share of them."""

from __future__ import annotations

import sys

import click
from rich.console import Console
from rich.progress import Progress

import raylite
from tests.soak.campaign import N_PARTS, Amounts, growth, run

GROWTH_MOST = 0.05


@click.command()
@click.option(
    "--share", type=click.FloatRange(0.001, 100), default=1.0, show_default=True, help="Of the whole amounts."
)
def main(share: float) -> None:
    """Run tasks, puts and calls in ten parts, and compare what is held after the first and after the last."""
    amounts = Amounts().times(share)
    raylite.init(num_cpus=2)
    held = []
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("soaking", total=N_PARTS)
        for each in run(amounts):
            held.append(each)
            click.echo(str(each))
            progress.advance(bar)
    raylite.shutdown()
    grown = growth(held[0], held[-1])
    same = [(each.n_descriptors, each.n_threads, each.n_workers) for each in held]
    click.echo(f"{amounts}: memory grew by {grown:.1%}; descriptors, threads, workers: {sorted(set(same))}")
    sys.exit(0 if grown <= GROWTH_MOST and len(set(same)) == 1 else 1)


if __name__ == "__main__":
    main(prog_name="python -m tests.soak")
