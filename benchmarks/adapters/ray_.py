"""Ray, without its dashboard."""

from __future__ import annotations

from benchmarks.adapters.programs import program_with
from benchmarks.adapters.ray_api import RayApiLibrary


class RayLibrary(RayApiLibrary):
    name = module = "ray"
    distributions = ("ray",)
    program = program_with(name)

    def _init(self, workers: int) -> None:
        self._api.init(num_cpus=workers, include_dashboard=False)
