"""dask.distributed: a local cluster of processes with one thread each, without its dashboard."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.adapters.programs import program_with
from benchmarks.handshake import measure_in_task
from benchmarks.payloads import noop


class DaskLibrary:
    """`pure=False` throughout: dask would otherwise run one call and hand out its result for all."""

    name = "dask"
    module = "distributed"
    distributions = ("dask", "distributed")
    program = program_with(name)

    def start(self, workers: int) -> None:
        from distributed import Client, LocalCluster

        self._cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="ERROR"
        )
        self._client = Client(self._cluster)

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()

    def run_batch(self, function, count: int, *arguments) -> None:
        submit = self._client.submit
        self._client.gather([submit(function, *arguments, pure=False) for _ in range(count)])

    def run_one_by_one(self, function, count: int) -> None:
        submit = self._client.submit
        for _ in range(count):
            submit(function, pure=False).result()

    def run_map(self, function, items: Sequence) -> list:
        return self._client.gather(self._client.map(function, items, pure=False))

    def run_chain(self, function, length: int) -> object:
        submit = self._client.submit
        future = submit(function, 0, pure=False)
        for _ in range(length - 1):
            future = submit(function, future, pure=False)
        return future.result()

    def run_and_take_each(self, function, count: int) -> None:
        from distributed import as_completed

        submit = self._client.submit
        for _future in as_completed([submit(function, pure=False) for _ in range(count)]):
            pass

    def put(self, value):
        return self._client.scatter(value, hash=False)

    def get(self, reference):
        return reference.result()

    result = get

    def submit_nested(self, path: str, batch: int, window_s: float):
        return self._client.submit(nested_submitter, path, batch, window_s, pure=False)


def nested_submitter(path: str, batch: int, window_s: float) -> float:
    """A task: submit no-op tasks and gather them, over and over."""
    from distributed import worker_client

    with worker_client() as client:
        submit = client.submit
        return measure_in_task(
            path, lambda: client.gather([submit(noop, pure=False) for _ in range(batch)]), batch, window_s
        )
