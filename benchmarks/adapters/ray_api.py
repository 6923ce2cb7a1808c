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

    def run_retried(self, function, *arguments) -> object:
        return self._api.get(self._remote(function).remote(*arguments))

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

    def start_servers(self, kind: type, count: int, **options) -> list:
        remote_class = self._api.remote(kind)
        servers = [(remote_class.options(**options) if options else remote_class).remote() for _ in range(count)]
        return self._ready(servers)

    def start_client(self, servers: list):
        return self._ready([self._api.remote(num_cpus=0)(Client).remote(self.module, servers)])[0]

    def call_one_by_one(self, server, count: int) -> None:
        get = self._api.get
        for _ in range(count):
            get(server.answer.remote())

    def call_batch(self, server, count: int) -> None:
        self._api.get([server.answer.remote() for _ in range(count)])

    def call_batch_with_args(self, server, count: int) -> None:
        self._api.get([server.answer_to.remote(number) for number in range(count)])

    def call_from_clients(self, clients: list, count: int) -> None:
        self._api.get([client.call_each.remote(count) for client in clients])

    def call_from_clients_with_arg(self, clients: list, count: int) -> None:
        self._api.get([client.call_each_with_arg.remote(count) for client in clients])

    def call_from_tasks(self, servers: list, tasks: int, count: int) -> None:
        remote = self._remote(call_in_turn).remote
        self._api.get([remote(self.module, servers, count) for _ in range(tasks)])

    def _ready(self, actors: list) -> list:
        self._api.get([actor.__ray_ready__.remote() for actor in actors])
        return actors

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


def call_in_turn(module: str, servers: list, count: int) -> None:
    """A task: `count` calls to the servers in turn, all in flight at once."""
    import_module(module).get([servers[number % len(servers)].answer.remote() for number in range(count)])


class Client:
    """An actor that calls others, as Ray's microbenchmark has it."""

    def __init__(self, module: str, servers: list) -> None:
        self._api = import_module(module)
        self._servers = servers

    def call_each(self, count: int) -> None:
        self._api.get([server.answer.remote() for server in self._servers for _ in range(count)])

    def call_each_with_arg(self, count: int) -> None:
        argument = self._api.put(0)
        self._api.get([server.answer_to.remote(argument) for server in self._servers for _ in range(count)])
