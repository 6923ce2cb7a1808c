"""How long, how often and how large: the settings that every contestant of a run is given."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass

from benchmarks.payloads import work


@dataclass(frozen=True)
class Plan:
    """The settings of one run; sent to each measuring process."""

    workers: int = 2
    cpus: tuple[int, ...] = (0, 1)
    runs: int = 5
    sample_s: float = 0.3  # a sample repeats its operation for at least this long
    large_bytes: int = 100_000_000
    in_flight: int = 1_000
    nested_batch: int = 100  # small: a library whose driver holds the GIL may do 30 a second
    map_items: int = 10_000
    window_s: float = 0.4  # how long a nested submitter is watched
    settle_s: float = 1.0  # from the last task to the first look at idle processes
    idle_s: float = 1.0  # how long idle processes are watched
    work_iterations: int = 10_000  # of `payloads.work` in one millisecond

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict) -> Plan:
        return cls(**{**fields, "cpus": tuple(fields["cpus"])})


def quick_plan(**fields) -> Plan:
    """Settings for a look at whether everything works: the figures are too short to quote."""
    short = {
        "runs": 2,
        "sample_s": 0.03,
        "large_bytes": 10_000_000,
        "in_flight": 200,
        "nested_batch": 20,
        "map_items": 1_000,
        "window_s": 0.1,
        "settle_s": 0.2,
        "idle_s": 0.2,
    }
    return Plan(**{**short, **fields})


def iterations_per_millisecond() -> int:
    """How many iterations of `payloads.work` take one millisecond here, from the fastest of some attempts.

    Tasks are given a number of iterations, not a time to pass: a task that watches the clock would take as long on a
    core it shares as on one of its own.
    """
    trial = 20_000

    def attempt_s() -> float:
        start = time.perf_counter()
        work(trial)
        return time.perf_counter() - start

    return max(1, round(trial * 0.001 / min(attempt_s() for _ in range(25))))
