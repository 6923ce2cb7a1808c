"""Rows about calls of actors, in the shapes of Ray's own microbenchmark: who calls, how many, and what answers.

Where Ray takes half of the cores for n, n is here the number of workers.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.payloads import AsyncServer, Server
from benchmarks.plan import Plan
from benchmarks.workload import Registry, rate

_UNIT = "calls/s"
_ONE_BY_ONE = ("two_ring_call", "eventfd_round_trip_one_core", "eventfd_round_trip", "spinning_round_trip")
_MANY = ("two_ring_calls_in_flight", "pickled_call")
_THREADS = 16
_CALLING_TASKS = 4

REGISTRY = Registry()


def actor_row(name: str, ray_name: str, limits: tuple[str, ...], *needs: str):
    """Decorate the function behind a row: its label is Ray's name for it, without the words that all have."""
    label = ray_name.replace("-actor", " actor").replace(" calls", "")
    return REGISTRY.row(name, label, _UNIT, needs=["start_servers", *needs], limits=limits, ray_name=ray_name)


@actor_row("actor_sync", "1:1 actor calls sync", _ONE_BY_ONE, "call_one_by_one")
def actor_sync(library, plan: Plan):
    """Call an actor and wait for the answer, then the next."""
    return one_by_one(library, plan, start_plain(library, 1))


@actor_row("actor_async", "1:1 actor calls async", _MANY, "call_batch")
def actor_async(library, plan: Plan):
    """Make 1,000 calls to an actor, then wait for all."""
    return in_flight(library.call_batch, plan, start_plain(library, 1))


@actor_row("actor_concurrent", "1:1 actor calls concurrent", _MANY, "call_batch")
def actor_concurrent(library, plan: Plan):
    """The same to an actor that runs calls in 16 threads."""
    return in_flight(library.call_batch, plan, start_plain(library, 1, max_concurrency=_THREADS))


@actor_row("actor_1n_async", "1:n actor calls async", _MANY, "start_client", "call_from_clients")
def actor_1n_async(library, plan: Plan):
    """An actor makes 1,000 calls to each of n actors."""
    return one_client(library, plan, start_plain(library, plan.workers))


@actor_row("actor_nn_async", "n:n actor calls async", _MANY, "call_from_tasks")
def actor_nn_async(library, plan: Plan):
    """Four tasks make 1,000 calls each, to n actors in turn."""
    return calling_tasks(library, plan, start_plain(library, plan.workers))


@actor_row(
    "actor_nn_arg_async",
    "n:n actor calls with arg async",
    _MANY,
    "start_client",
    "call_from_clients_with_arg",
)
def actor_nn_arg_async(library, plan: Plan):
    """Each of n actors makes 1,000 calls to one of its own, all with one small value that it put."""
    clients = [library.start_client([server]) for server in start_plain(library, plan.workers)]
    calls = plan.in_flight * len(clients)
    return rate(lambda: library.call_from_clients_with_arg(clients, plan.in_flight), calls, plan.sample_s)


@actor_row("async_actor_sync", "1:1 async-actor calls sync", _ONE_BY_ONE, "call_one_by_one")
def async_actor_sync(library, plan: Plan):
    """Call an async actor and wait for the answer, then the next."""
    return one_by_one(library, plan, library.start_servers(AsyncServer, 1))


@actor_row("async_actor_async", "1:1 async-actor calls async", _MANY, "call_batch")
def async_actor_async(library, plan: Plan):
    """Make 1,000 calls to an async actor, then wait for all."""
    return in_flight(library.call_batch, plan, library.start_servers(AsyncServer, 1))


@actor_row("async_actor_args_async", "1:1 async-actor calls with args async", _MANY, "call_batch_with_args")
def async_actor_args_async(library, plan: Plan):
    """The same, each call with a number."""
    return in_flight(library.call_batch_with_args, plan, library.start_servers(AsyncServer, 1))


@actor_row("async_actor_1n_async", "1:n async-actor calls async", _MANY, "start_client", "call_from_clients")
def async_actor_1n_async(library, plan: Plan):
    """An actor makes 1,000 calls to each of n async actors."""
    return one_client(library, plan, library.start_servers(AsyncServer, plan.workers))


@actor_row("async_actor_nn_async", "n:n async-actor calls async", _MANY, "call_from_tasks")
def async_actor_nn_async(library, plan: Plan):
    """Four tasks make 1,000 calls each, to n async actors in turn."""
    return calling_tasks(library, plan, library.start_servers(AsyncServer, plan.workers))


def start_plain(library, count: int, **options) -> list:
    """Actors that hold no CPU, as those of Ray's microbenchmark."""
    return library.start_servers(Server, count, num_cpus=0, **options)


def one_by_one(library, plan: Plan, servers: list):
    (server,) = servers
    count = max(1, plan.in_flight // 10)
    return rate(lambda: library.call_one_by_one(server, count), count, plan.sample_s)


def in_flight(call_batch: Callable[[object, int], None], plan: Plan, servers: list):
    (server,) = servers
    return rate(lambda: call_batch(server, plan.in_flight), plan.in_flight, plan.sample_s)


def one_client(library, plan: Plan, servers: list):
    client = library.start_client(servers)
    calls = plan.in_flight * len(servers)
    return rate(lambda: library.call_from_clients([client], plan.in_flight), calls, plan.sample_s)


def calling_tasks(library, plan: Plan, servers: list):
    calls = plan.in_flight * _CALLING_TASKS
    return rate(lambda: library.call_from_tasks(servers, _CALLING_TASKS, plan.in_flight), calls, plan.sample_s)
