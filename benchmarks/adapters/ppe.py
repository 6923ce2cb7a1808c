"""concurrent.futures.ProcessPoolExecutor: futures, but only in the process that made them."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.adapters.programs import program_with


class ExecutorLibrary:
    name = "ppe"
    module = "concurrent.futures"
    distributions = ()
    program = program_with(name)

    def start(self, workers: int) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self._executor = ProcessPoolExecutor(workers)

    def stop(self) -> None:
        self._executor.shutdown()

    def run_batch(self, function, count: int, *arguments) -> None:
        submit = self._executor.submit
        for future in [submit(function, *arguments) for _ in range(count)]:
            future.result()

    def run_one_by_one(self, function, count: int) -> None:
        submit = self._executor.submit
        for _ in range(count):
            submit(function).result()

    def run_map(self, function, items: Sequence) -> list:
        return list(self._executor.map(function, items))

    def run_and_take_each(self, function, count: int) -> None:
        from concurrent.futures import as_completed

        submit = self._executor.submit
        for _future in as_completed([submit(function) for _ in range(count)]):
            pass
