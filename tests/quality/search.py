"""`make quality`: for each fault planted in the core, the first seed whose trial finds it, by what a program sees alone.

`python -m tests.quality.search [NAME...]`, in a debug build. What was found is written to found.txt, which
test_planted.py replays. Ends with 1 if a fault was not found within SEEDS_MOST seeds.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tests.quality.planting import faults, planted, words
from tests.quality.swarm import fails, run

FOUND = Path(__file__).with_name("found.txt")
HEADER = "# The seed of tests/quality/swarm.py that finds each planted fault, and what it comes to. Written by `make quality`.\n"
SEEDS_MOST = 2000


def found() -> dict[str, int]:
    """The seed that found each fault, as it is written down."""
    lines = (line.partition("#")[0].split() for line in FOUND.read_text().splitlines())
    return {line[0]: int(line[1]) for line in lines if line}


def finds(seed: int, name: str) -> bool:
    """Whether the trial of a seed fails with the fault. That it comes out right without is for the caller to know."""
    with planted(name):
        return fails(seed)


def search(names: list[str], n_seeds: int = SEEDS_MOST):
    """For each of the faults that is found: its name, the first seed that finds it, and what that came to."""
    left, started = list(names), time.perf_counter()
    for seed in range(n_seeds):
        if not left:
            break
        show(f"seed {seed}, {seed / max(time.perf_counter() - started, 1e-9):.1f}/s, not found yet: {' '.join(left)}")
        if fails(seed):
            show(f"seed {seed} fails without any planted fault", stays=True)
            continue
        for name in list(left):
            with planted(name):
                trial = run(seed)
            if trial.error is not None:
                left.remove(name)
                yield name, seed, f"{type(trial.error).__name__}: {trial.error}".partition("\n")[0]
    show("")


def show(text: str, *, stays: bool = False) -> None:
    """A line of progress, where somebody looks."""
    if stays or sys.stderr.isatty():
        print(f"\r\033[K{text[:110]}", end="\n" if stays else "", file=sys.stderr, flush=True)


def main(names: list[str]) -> int:
    if not words():
        sys.exit("planted faults are in the debug build only: make quality")
    if unknown := set(names) - set(faults()):
        sys.exit(f"there is no planted fault {', '.join(sorted(unknown))}; there are {', '.join(faults())}")
    left = dict.fromkeys(names or faults())
    for name, seed, what in search(list(left)):
        del left[name]
        write_down(name, f"{name} {seed}  # {what}")
        print(f"{name} is found by seed {seed}: {what}", flush=True)
    for name in left:
        print(f"{name} is not found within {SEEDS_MOST} seeds")
    return 1 if left else 0


def write_down(name: str, line: str) -> None:
    """Put a line of a fault into found.txt, in place of what was there of it."""
    lines = {known.split()[0]: known for known in FOUND.read_text().splitlines() if not known.startswith("#")}
    lines[name] = line
    FOUND.write_text(HEADER + "".join(f"{lines[name]}\n" for name in faults() if name in lines))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
