"""raylite."""

from __future__ import annotations

from benchmarks.adapters.programs import SPILLING, program_with
from benchmarks.adapters.ray_api import RayApiLibrary


class RayliteLibrary(RayApiLibrary):
    name = module = "raylite"
    distributions = ("raylite",)
    program = program_with(name)
    spilling_program = SPILLING

    def _init(self, workers: int) -> None:
        self._api.init(num_cpus=workers)
