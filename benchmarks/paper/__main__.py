"""The command line: run experiments, print their tables, write tables and pictures to a folder."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.paper.draw import draw

EXPERIMENTS = ("throughput", "locality", "failover", "reconstruction", "actors", "allreduce", "flushing")
RESULTS = Path(__file__).parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper",
        description="The system experiments of the Ray paper (Moritz et al., OSDI 2018) in virtual time.",
    )
    parser.add_argument("experiment", nargs="*", help=f"of {', '.join(EXPERIMENTS)}; by default all")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for tables and pictures")
    parser.add_argument("--tiny", action="store_true", help="as small as tests have them: no figures to quote")
    arguments = parser.parse_args(argv)
    unknown = [name for name in arguments.experiment if name not in EXPERIMENTS]
    if unknown:
        parser.error(f"there is no experiment {unknown[0]!r}; there are {', '.join(EXPERIMENTS)}")
    arguments.results.mkdir(parents=True, exist_ok=True)
    for name in arguments.experiment or EXPERIMENTS:
        start_s = time.perf_counter()
        experiment = importlib.import_module(f"benchmarks.paper.{name}")
        table = experiment.measure(**experiment.TINY) if arguments.tiny else experiment.measure()
        text = table.markdown()
        (arguments.results / f"{name}.md").write_text(text)
        draw(table, arguments.results / f"{name}.png")
        print(text)
        print(f"({name}: {time.perf_counter() - start_s:.0f} s of real time)\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
