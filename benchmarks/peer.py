"""The process in which one contestant, a library or a limit, measures one workload when it is told to.

Requests come as lines of JSON on one pipe and replies go out on another; standard streams belong to the library. A
reply holds either a result or an error. When its requests end it stops the library and exits as programs do.
"""

from __future__ import annotations

import argparse
import json
import os
import traceback
from collections.abc import Callable
from contextlib import suppress

from benchmarks.plan import Plan
from benchmarks.workload import Sample

LIMIT_PREFIX = "limit:"


class Contestant:
    """A library or limit with its workload, from start to stop."""

    def start(self) -> None: ...

    def sample(self) -> dict[str, float]:
        raise NotImplementedError

    def stop(self) -> None: ...


class LibraryContestant(Contestant):
    """One library doing one workload."""

    def __init__(self, name: str, workload_name: str, plan: Plan) -> None:
        from benchmarks.adapters import LIBRARIES
        from benchmarks.rows import REGISTRY

        self._library = LIBRARIES[name]()
        self._workload = REGISTRY.workloads[workload_name]
        self._plan = plan
        self._take: Sample | None = None

    def start(self) -> None:
        if self._workload.starts_library:
            self._library.start(self._plan.workers)
        self._take = self._workload.prepare(self._library, self._plan)

    def sample(self) -> dict[str, float]:
        return dict(self._take())

    def stop(self) -> None:
        if self._take is not None:
            self._take = None  # and the references it holds
            if self._workload.starts_library:
                self._library.stop()


class LimitContestant(Contestant):
    """One limit; its only figure goes by the limit's name."""

    def __init__(self, name: str, plan: Plan) -> None:
        from benchmarks.limits import LIMITS

        self._limit = LIMITS[name]
        self._plan = plan

    def start(self) -> None:
        self._take = self._limit.prepare(self._plan)

    def sample(self) -> dict[str, float]:
        return {self._limit.name: self._take()}


def contestant(name: str, workload_name: str, plan: Plan) -> Contestant:
    if name.startswith(LIMIT_PREFIX):
        return LimitContestant(name.removeprefix(LIMIT_PREFIX), plan)
    return LibraryContestant(name, workload_name, plan)


def serve(requests, replies, actions: dict[str, Callable[[], object]]) -> None:
    """Answer each request by its action until there are no more."""
    for line in requests:
        try:
            reply = {"result": actions[json.loads(line)]()}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer", description=__doc__)
    parser.add_argument("--contestant", required=True)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--plan", required=True, type=json.loads)
    parser.add_argument("--requests", required=True, type=int, help="file descriptor")
    parser.add_argument("--replies", required=True, type=int, help="file descriptor")
    arguments = parser.parse_args()
    for descriptor in (arguments.requests, arguments.replies):
        os.set_inheritable(descriptor, False)
    playing = contestant(arguments.contestant, arguments.workload, Plan.from_dict(arguments.plan))
    with suppress(BrokenPipeError), os.fdopen(arguments.requests) as requests, os.fdopen(arguments.replies, "w") as out:
        serve(requests, out, {"start": playing.start, "sample": playing.sample})
    playing.stop()


if __name__ == "__main__":
    main()
