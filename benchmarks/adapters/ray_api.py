"""The part that raylite and Ray share: one interface, so one adapter for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from benchmarks.handshake import measure_in_task
from benchmarks.payloads import noop


class RayApiLibrary:
    """A library with Ray's interface, whose module is named `module`."""

    module: str

    def start(self, workers: int) -> None:
        self._api = import_module(self.module)
        self._init(workers)
        self._remote_functions: dict[Callable, object] = {}

    def stop(self) -> None:
        self._api.shutdown()

    def run_batch(self, function, count: int, *arguments) -> None:
        remote = self._remote(function).remote
        self._api.get([remote(*arguments) for _ in range(count)])

    def run_one_by_one(self, function, count: int) -> None:
        remote, get = self._remote(function).remote, self._api.get
        for _ in range(count):
            get(remote())

    def run_map(self, function, items: Sequence) -> list:
        remote = self._remote(function).remote
        return self._api.get([remote(item) for item in items])

    def run_chain(self, function, length: int) -> object:
        remote = self._remote(function).remote
        reference = remote(0)
        for _ in range(length - 1):
            reference = remote(reference)
        return self._api.get(reference)

    def run_and_take_each(self, function, count: int) -> None:
        remote, wait = self._remote(function).remote, self._api.wait
        waiting = [remote() for _ in range(count)]
        while waiting:
            _ready, waiting = wait(waiting)

    # Properties, so that a row calls the library's own function with nothing between.

    @property
    def put(self):
        return self._api.put

    @property
    def get(self):
        return self._api.get

    @property
    def result(self):
        return self._api.get

    def submit_nested(self, path: str, batch: int, window_s: float):
        return self._remote(nested_submitter).remote(self.module, path, batch, window_s)

    def _init(self, workers: int) -> None:
        raise NotImplementedError

    def _remote(self, function):
        if function not in self._remote_functions:
            self._remote_functions[function] = self._api.remote(function)
        return self._remote_functions[function]


def nested_submitter(module: str, path: str, batch: int, window_s: float) -> float:
    """A task: submit no-op tasks and get them, over and over."""
    api = import_module(module)
    remote = api.remote(noop).remote
    return measure_in_task(path, lambda: api.get([remote() for _ in range(batch)]), batch, window_s)
