"""The rows about actors: which libraries do them, and that every operation makes the calls that it is credited with."""

import pytest

import raylite
from benchmarks.adapters import LIBRARIES, can_do
from benchmarks.plan import quick_plan
from benchmarks.rows import actors

# As `ray microbenchmark` prints them.
RAY_NAMES = {
    "1:1 actor calls sync",
    "1:1 actor calls async",
    "1:1 actor calls concurrent",
    "1:n actor calls async",
    "n:n actor calls async",
    "n:n actor calls with arg async",
    "1:1 async-actor calls sync",
    "1:1 async-actor calls async",
    "1:1 async-actor calls with args async",
    "1:n async-actor calls async",
    "n:n async-actor calls async",
}


class Counter:
    """A server that counts what it is asked."""

    def __init__(self):
        self.asked = []

    def answer(self):
        self.asked.append(None)

    def answer_to(self, argument):
        self.asked.append(argument)

    def count(self):
        return len(self.asked)


@pytest.fixture
def library():
    """The adapter of raylite, started, whose servers count."""

    class Library(LIBRARIES["raylite"]):
        def start_servers(self, kind, count, **options):
            self.servers = super().start_servers(Counter, count, **options)
            return self.servers

        def calls(self):
            return sum(raylite.get([server.count.remote() for server in self.servers]))

    library = Library()
    library.start(2)
    yield library
    library.stop()


def test_rows_are_those_of_rays_microbenchmark():
    assert {row.ray_name for row in actors.REGISTRY.rows()} == RAY_NAMES


def test_only_libraries_with_actors_do_them():
    able = {name for name in LIBRARIES for each in actors.REGISTRY.workloads.values() if can_do(name, each)}
    assert able == {"raylite", "ray"}
    assert all(can_do(name, each) for name in able for each in actors.REGISTRY.workloads.values())


@pytest.mark.parametrize("name", actors.REGISTRY.workloads)
def test_an_operation_makes_as_many_calls_as_it_counts(library, monkeypatch, name):
    measured = []
    monkeypatch.setattr(actors, "rate", lambda operation, amount, _duration_s: measured.append((operation, amount)))
    actors.REGISTRY.workloads[name].prepare(library, quick_plan(in_flight=30))
    ((operation, amount),) = measured
    for rounds in (1, 2):
        operation()
        assert library.calls() == rounds * amount


def test_all_clients_reach_all_servers(library):
    servers = library.start_servers(None, 3, num_cpus=0)

    def shares():
        return raylite.get([server.count.remote() for server in servers])

    library.call_from_clients([library.start_client(servers)], 5)
    assert shares() == [5, 5, 5]
    library.call_from_clients_with_arg([library.start_client([server]) for server in servers], 2)
    assert shares() == [7, 7, 7]
    library.call_from_tasks(servers, 2, 6)
    assert shares() == [11, 11, 11]


def test_arguments_arrive_as_values(library):
    (server,) = library.start_servers(None, 1)
    library.call_batch_with_args(server, 3)
    library.call_from_clients_with_arg([library.start_client([server])], 2)
    asked = raylite.get(server.__ray_call__.remote(lambda counter: counter.asked))
    assert asked == [0, 1, 2, 0, 0]
