"""How each library does the work of the rows, in the way that its own documentation would write it.

A library is a class with `start(workers)` and `stop()` and as many of these methods as it can offer; a row names the
ones it needs, and a library without them is left out of that row:

    run_batch(function, count, *arguments)    submit `count` calls of at most one argument, wait for all
    run_one_by_one(function, count)           submit a call, wait for it, then the next
    run_map(function, items)                  the library's own map over `items`, at its default settings
    run_chain(function, length)               each call takes the result of the call before
    run_and_take_each(function, count)        submit `count` calls, take one finished after the other
    put(value) -> reference, get(reference)   the library's store of values
    submit_nested(path, batch, window_s)      submit a task that submits `batch` no-op tasks over and over
    result(handle)                            the result of what `submit_nested` returned
    start_servers(kind, count, **options)     `count` actors of a class of `payloads`, once they are there
    start_client(servers)                     an actor that calls these
    call_one_by_one(server, count)            call an actor, wait for the answer, then the next
    call_batch(server, count)                 `count` calls, wait for all
    call_batch_with_args(server, count)       the same, each with an argument
    call_from_clients(clients, count)         each client calls each of its servers `count` times, wait for all
    call_from_clients_with_arg(clients, count)  the same, all calls of a client with one stored argument
    call_from_tasks(servers, tasks, count)    each task makes `count` calls, to the servers in turn, wait for all
    program                                   path of a program for the rows about whole programs

The modules import their library in `start`, not before: the program that measures asks the classes what they can do.
"""

from __future__ import annotations

from importlib.util import find_spec

from benchmarks.adapters.dask_ import DaskLibrary
from benchmarks.adapters.pool import PoolLibrary
from benchmarks.adapters.ppe import ExecutorLibrary
from benchmarks.adapters.ray_ import RayLibrary
from benchmarks.adapters.raylite_ import RayliteLibrary
from benchmarks.workload import Workload

OURS = "raylite"
LIBRARIES = {
    library.name: library for library in (RayliteLibrary, PoolLibrary, ExecutorLibrary, RayLibrary, DaskLibrary)
}


def is_installed(name: str) -> bool:
    return find_spec(LIBRARIES[name].module) is not None


def can_do(name: str, workload: Workload) -> bool:
    return all(hasattr(LIBRARIES[name], need) for need in workload.needs)
