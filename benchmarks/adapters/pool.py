"""multiprocessing.Pool: no references and no store, so no chains, and no tasks from within tasks."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.adapters.programs import program_with


class PoolLibrary:
    name = "pool"
    module = "multiprocessing"
    distributions = ()
    program = program_with(name)

    def start(self, workers: int) -> None:
        from multiprocessing import Pool

        self._pool = Pool(workers)

    def stop(self) -> None:
        self._pool.close()
        self._pool.join()

    def run_batch(self, function, count: int, *arguments) -> None:
        (argument,) = arguments or (None,)
        self._pool.map(function, [argument] * count, chunksize=1)

    def run_one_by_one(self, function, count: int) -> None:
        apply = self._pool.apply
        for _ in range(count):
            apply(function)

    def run_map(self, function, items: Sequence) -> list:
        return self._pool.map(function, items)

    def run_and_take_each(self, function, count: int) -> None:
        for _result in self._pool.imap_unordered(function, [None] * count):
            pass
