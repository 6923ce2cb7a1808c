"""The fewest faults with which a run still fails: first fewer kinds, then fewer of each, by delta debugging.

Each candidate is a run of its own. What is found fails for certain, as it was run; that nothing smaller fails is only
as certain as the runs that were spent on it.
"""

from __future__ import annotations

import time
from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from raylite.sim.faults import Faults

    Occurrences = Iterable[tuple[str, int]]

RUNS_MOST = 200
SECONDS_MOST = 60.0  # of real time: what takes long to run is not run often


class Shrinking:
    """Args: faults: under which a run failed; occurred: (kind, number) of each that happened in it; fails: runs it
    again under other faults, and returns what happened if that fails in the same way, else None; runs_most: how often;
    seconds_most: for how long, in real time.

    Attributes: faults: the least that is known to fail; n_runs: how many runs that has taken.
    """

    def __init__(
        self,
        faults: Faults,
        occurred: Occurrences,
        fails: Callable[[Faults], Occurrences | None],
        runs_most: int = RUNS_MOST,
        seconds_most: float = SECONDS_MOST,
    ) -> None:
        self.faults = faults
        self.occurred = list(occurred)
        self.fails = fails
        self.runs_left = runs_most
        self.until_s = real_s() + seconds_most
        self.n_runs = 0

    def run(self) -> Faults:
        """Find the least faults that fail."""
        if self.faults and not self.attempt(self.faults.only()):
            self.drop_kinds()
            self.drop_occurrences()
        return self.faults

    def attempt(self, candidate: Faults) -> bool:
        """Whether the run fails under these faults too; if so they are the least so far."""
        if real_s() >= self.until_s:
            self.runs_left = 0
        if self.runs_left == 0:
            return False
        self.runs_left -= 1
        self.n_runs += 1
        occurred = self.fails(candidate)
        if occurred is None:
            return False
        self.faults, self.occurred = candidate, list(occurred)
        return True

    def drop_kinds(self) -> None:
        for name in sorted(self.faults.rates):
            if len(self.faults.rates) > 1:
                self.attempt(self.faults.without(name))

    def drop_occurrences(self) -> None:
        """Leave out parts of what happened, in halves, then in quarters and so on, as long as it fails."""
        n_parts = 2
        while self.runs_left and len(self.occurred) > 1:
            n_parts = min(n_parts, len(self.occurred))
            if self.drop_one_of(n_parts):
                n_parts = max(n_parts - 1, 2)
            elif n_parts == len(self.occurred):
                break
            else:
                n_parts *= 2
        self.attempt(self.keeping(self.occurred))  # by name, so that none comes to it when it is run elsewhere

    def drop_one_of(self, n_parts: int) -> bool:
        occurred = self.occurred
        bounds = [len(occurred) * i // n_parts for i in range(n_parts + 1)]
        parts = pairwise(bounds)
        return any(self.attempt(self.keeping(occurred[:begin] + occurred[end:])) for begin, end in parts)

    def keeping(self, occurred: Occurrences) -> Faults:
        kept: dict[str, list[int]] = {}
        for name, number in occurred:
            kept.setdefault(name, []).append(number)
        return self.faults.keeping(kept)


def real_s() -> float:
    """Real time, also where time is virtual."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)
