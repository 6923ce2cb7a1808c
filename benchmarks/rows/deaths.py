"""Rows about processes that die: how soon what they did is done again."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.payloads import die_first
from benchmarks.plan import Plan
from benchmarks.workload import Registry

REGISTRY = Registry()


@REGISTRY.row("killed_to_retried", "killed worker to result", "ms", needs=["run_retried"], more_is_better=False)
def killed_to_retried(library, plan: Plan):
    """A task kills its worker (SIGKILL) in its first attempt: from then to the result of the second, in the driver."""

    def sample() -> float:
        with tempfile.TemporaryDirectory() as folder:
            killed_ns = library.run_retried(die_first, str(Path(folder) / "killed"))
            return (time.monotonic_ns() - killed_ns) / 1e6

    return sample
