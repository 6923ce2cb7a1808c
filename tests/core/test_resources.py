"""Resources of a node: demands are checked and interned, amounts are exact, GPUs have numbers."""

from __future__ import annotations

import struct

import pytest

from raylite._core.node.node import Node
from tests.core import protocol as p
from tests.core.host import DRIVER, FUNCTION


def available(host):
    return {name: amount / p.UNIT for name, (_, amount) in host.node.resources().items()}


def test_a_task_takes_what_it_asks_for_and_gives_it_back(make_host):
    host = make_host({"CPU": 4, "memory": 1000, "widget": 3})
    host.submit("a", needs={"CPU": 1.5, "memory": 300, "widget": 0.0001})
    assert available(host) == {"CPU": 2.5, "GPU": 0, "memory": 700, "widget": 2.9999}
    host.finish("a")
    assert available(host) == {"CPU": 4, "GPU": 0, "memory": 1000, "widget": 3}


def test_the_last_ten_thousandth_is_decisive(make_host):
    host = make_host({"CPU": 8, "x": 1})
    assert host.submit("a", needs={"x": 0.3333}) == ["spawn 2", "run a on 2"]
    assert host.submit("b", needs={"x": 0.6668}) == []
    assert host.submit("c", needs={"x": 0.6667}) == ["spawn 3", "run c on 3"]
    assert host.finish("a") == []
    assert host.finish("c") == ["run b on 3"]


def test_nothing_asked_for_runs_without_limit(make_host):
    host = make_host({"CPU": 0})
    assert host.submit("a", needs={}) == ["spawn 2", "run a on 2"]
    assert host.submit("b", needs={"CPU": 0}) == ["spawn 3", "run b on 3"]


def test_whole_gpus_are_handed_out_by_number(make_host):
    host = make_host({"CPU": 8, "GPU": 4})
    assert host.submit("a", needs={"GPU": 1}) == ["spawn 2 gpus 0", "run a on 2 gpus 0"]
    assert host.submit("b", needs={"GPU": 2}) == ["spawn 3 gpus 1,2", "run b on 3 gpus 1,2"]
    assert host.submit("c", needs={"GPU": 2}) == []
    assert host.finish("a") == ["spawn 4 gpus 0,3", "run c on 4 gpus 0,3"]


def test_fractions_share_the_fullest_gpu_with_room(make_host):
    host = make_host({"CPU": 8, "GPU": 2})
    assert host.submit("a", needs={"GPU": 0.5})[-1] == "run a on 2 gpus 0"
    assert host.submit("b", needs={"GPU": 0.75})[-1] == "run b on 3 gpus 1"
    assert host.submit("c", needs={"GPU": 0.25})[-1] == "run c on 4 gpus 1"
    assert host.submit("d", needs={"GPU": 0.5})[-1] == "run d on 5 gpus 0"
    assert host.submit("e", needs={"GPU": 0.0001}) == []
    assert host.finish("c") == ["run e on 4 gpus 1"]


def test_a_gpu_in_use_by_fractions_is_not_given_whole(make_host):
    host = make_host({"CPU": 8, "GPU": 2})
    host.submit("half", needs={"GPU": 0.5})
    assert host.submit("two", needs={"GPU": 2}) == []
    assert host.submit("one", needs={"GPU": 1})[-1] == "run one on 3 gpus 1"
    assert host.finish("one") == []
    assert host.finish("half")[-1] == "run two on 4 gpus 0,1"


def test_fractions_that_do_not_fit_one_gpu_wait_although_their_sum_would(make_host):
    host = make_host({"CPU": 8, "GPU": 2})
    host.submit("a", needs={"GPU": 0.6})
    host.submit("b", needs={"GPU": 0.6})
    assert host.submit("c", needs={"GPU": 0.6}) == []
    assert host.finish("a")[-1] == "run c on 2 gpus 0"


def test_a_worker_sees_one_gpu_set_only_ever(make_host):
    host = make_host({"CPU": 8, "GPU": 2})
    host.submit("a", needs={"GPU": 1})
    host.submit("b", needs={"GPU": 1})
    host.finish("a")
    host.finish("b")
    assert host.submit("c", needs={"GPU": 1}) == ["run c on 2 gpus 0"]
    assert host.submit("d", needs={"GPU": 1}) == ["run d on 3 gpus 1"]
    host.finish("c")
    host.finish("d")
    assert host.submit("e", needs={"GPU": 2}) == ["spawn 4 gpus 0,1", "run e on 4 gpus 0,1"]
    assert host.submit("f", needs={"CPU": 1}) == ["spawn 5", "run f on 5"]


def test_a_demand_nobody_can_meet_is_said_once_and_waits(make_host):
    host = make_host({"CPU": 2, "widget": 0.5})
    [line] = host.submit("a", needs={"CPU": 1, "widget": 2.5})
    assert line == (
        "warn: No node can run f: it asks for 2.5 widget, and there is 0.5. The task waits until the cluster has enough. "
        "There is: CPU 2; widget 0.5"
    )
    assert host.submit("b", needs={"CPU": 1, "widget": 2.5}) == []
    assert host.submit("c", needs={"CPU": 3}, name="my task")[0].startswith(
        "warn: No node can run my task: it asks for 3"
    )
    assert host.story_of("a") == ["WAITING", "READY"]


def test_amounts_in_the_warning_are_exact(make_host):
    host = make_host({"CPU": 1, "memory": 123456.7891})
    [line] = host.submit("a", needs={"memory": 123456.7892})
    assert "it asks for 123456.7892 memory, and there is 123456.7891." in line


def test_a_resource_nobody_has_is_named(host):
    [line] = host.submit("a", needs={"accelerator": 1})
    assert "it asks for 1 accelerator, and there is 0." in line


def test_warnings_go_to_the_driver(host):
    host.submit("a", needs={"CPU": 5})
    assert host.last(p.CMD_WARN).client == DRIVER


def head(n_amounts):
    return p.DEMAND_HEADER.pack(0, n_amounts, p.ANY_BUNDLE, bytes(16), 0, 0)


MALFORMED = {
    "nothing": b"",
    "half a header": p.demand()[:8],
    "an entry missing": head(2) + p.demand()[p.DEMAND_HEADER.size :],
    "below zero": head(1) + p.DEMAND_ENTRY.pack(-1, 3, 0) + p.padded(b"CPU"),
    "no name": head(1) + p.DEMAND_ENTRY.pack(1, 0, 0),
    "name too long": head(1) + p.DEMAND_ENTRY.pack(1, 2**32 - 1, 0) + p.padded(b"CPU"),
    "twice": head(2) + 2 * (p.DEMAND_ENTRY.pack(1, 3, 0) + p.padded(b"CPU")),
    "one and a half GPUs": p.demand({"GPU": 1.5}),
    "more behind it": p.demand() + bytes(8),
    "a bundle below any": p.demand(bundle=-2),
    "an unknown flag": p.demand(flags=32),
    "too many": p.demand({f"r{i}": 1 for i in range(5000)}),
    "first good, then bad": head(2) + p.demand({"new": 1})[p.DEMAND_HEADER.size :] + p.DEMAND_ENTRY.pack(-1, 3, 0),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_demand_is_refused_and_leaves_no_trace(make_host, name):
    host = make_host({"CPU": 1, "GPU": 2})
    before = host.node.resources(), host.node.sizes()
    payload = p.submit(host.object(FUNCTION), demand=MALFORMED[name])
    assert host.send(p.EV_SUBMIT, DRIVER, object=host.object("a"), payload=payload) == [f"reject {p.EV_SUBMIT} from 1"]
    assert (host.node.resources(), host.node.sizes()) == before


@pytest.mark.parametrize("resources", [{"CPU": -1}, {"GPU": 5000}, {"widget": -10000}])
def test_a_node_with_impossible_resources_is_refused(resources):
    with pytest.raises(ValueError, match="resources"):
        Node(resources)


def test_the_query_lists_total_and_available(make_host):
    host = make_host({"CPU": 2, "widget": 0.5})
    host.submit("a", needs={"CPU": 1, "widget": 0.25})
    host.send(p.EV_QUERY, DRIVER, request=77, object=p.object_id(bytes(16), p.QUERY_RESOURCES))
    [answer] = host.commands
    assert (answer.kind, answer.client, answer.request) == (p.CMD_READY, DRIVER, 77)
    assert p.read_resources(answer.payload) == {
        "CPU": (20000, 10000),
        "GPU": (0, 0),
        "memory": (0, 0),
        "widget": (5000, 2500),
    }
    assert struct.unpack_from("<qqq", answer.payload) == (20000, 10000, 3)


def test_environments_have_workers_of_their_own(make_host):
    host = make_host({"CPU": 2})
    assert host.submit("a", environment=7) == ["spawn 2 in 7", "run a on 2"]
    host.finish("a")
    assert host.submit("b") == ["spawn 3", "run b on 3"]
    assert host.submit("c", environment=7) == ["run c on 2"]
