"""The row about more values than the object store holds: through the disk and back."""

from __future__ import annotations

import subprocess
import sys
import tempfile

from benchmarks.limits import SPILL_FOLDER, SPILLED_VALUES
from benchmarks.plan import Plan
from benchmarks.workload import Registry, Row

REGISTRY = Registry()


@REGISTRY.workload(
    "spilling",
    Row("spill_and_restore", "spill, bring back", "GB/s", limits=("file_write_read",)),
    needs=["spilling_program"],
    starts_library=False,
)
def spilling(library, plan: Plan):
    """Put values of eight times the store and read each once; bytes by the time of both."""
    value_bytes = plan.large_bytes // SPILLED_VALUES

    def sample() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=SPILL_FOLDER) as folder:
            command = [sys.executable, library.spilling_program, str(value_bytes), str(8 * SPILLED_VALUES), folder]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        return {"spill_and_restore": 8 * SPILLED_VALUES * value_bytes / 1e9 / float(done.stdout)}

    return sample
