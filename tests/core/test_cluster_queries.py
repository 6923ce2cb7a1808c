"""Clients' questions about other nodes."""

from __future__ import annotations

import pytest

from raylite.util.state.cluster import Everywhere
from raylite.util.state.reports import QUERY
from tests.core import protocol as p
from tests.core.neighbours import A, B, C, Neighbour

GPU = {"GPU": 1}
ALL_TASKS = QUERY.pack(b"", b"", 0, b"", 0, 100, 0xFFFFFFFF, 0)


@pytest.fixture
def pair():
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


def ask(a, node, what=p.QUERY_TASK_ROWS, payload=ALL_TASKS):
    return a.send(p.EV_QUERY, 1, object=p.object_id(bytes(16), what), request=7, aux=node, payload=payload)


def answer(a):
    """(number, bytes) of the last answer to the driver."""
    command = a.last(p.CMD_READY)
    assert (command.client, command.request) == (1, 7)
    return command.aux, command.payload


def test_another_node_answers_from_what_it_has(pair):
    a, b = pair
    b.submit("t")
    assert ask(a, B) == ["to 2: question"]
    assert b.hears(a) == ["to 1: answer"]
    a.hears(b)
    status, rows = answer(a)
    assert status == 0
    assert rows == b.query(p.QUERY_TASK_ROWS, ALL_TASKS)
    assert b.task("t") in rows


def test_this_node_may_be_asked_by_its_address(pair):
    a, _ = pair
    a.submit("t")
    ask(a, A)
    assert answer(a) == (0, a.query(p.QUERY_TASK_ROWS, ALL_TASKS))


def test_a_node_that_is_not_there_is_said_to_be_absent(pair):
    a, _ = pair
    ask(a, 9)
    assert answer(a) == (p.READY_ABSENT, b"")


def test_a_node_that_dies_before_it_has_answered_is_absent(pair):
    a, _ = pair
    ask(a, B)
    a.dies(C)
    assert a.commands == []
    a.dies(B)
    assert answer(a) == (p.READY_ABSENT, b"")


def test_an_answer_that_comes_after_its_client_has_gone_is_nobodys(pair):
    a, b = pair
    a.attach(5)
    a.send(p.EV_QUERY, 5, object=p.object_id(bytes(16), p.QUERY_TASK_ROWS), request=1, aux=B, payload=ALL_TASKS)
    b.hears(a)
    a.detach(5)
    assert a.hears(b) == []


def test_a_malformed_question_is_refused(pair):
    a, b = pair
    ask(a, B, payload=b"short")
    assert [line for line in b.hears(a) if "answer" in line] == []


def test_the_living_nodes_and_their_names(pair):
    a, _ = pair
    a.dies(C)
    found = a.query(p.QUERY_NODES)
    assert b"node 1" in found and b"node 2" in found and b"node 3" not in found
    assert found.index(b"node 1") < found.index(b"node 2")


def test_what_an_environment_stands_for(pair):
    a, b = pair
    b.send(p.EV_ENVIRONMENT, 1, request=77, payload=b"{}")
    ask(a, B, p.QUERY_ENVIRONMENT, (77).to_bytes(8, "little"))
    b.hears(a)
    a.hears(b)
    assert answer(a) == (0, b"{}")


class Client:
    """A client of the first node, whose questions to others are carried at once."""

    in_cluster = True

    def __init__(self, *nodes):
        self.nodes = nodes

    def query(self, what, payload=b""):
        return self.nodes[0].query(what, payload)

    def question(self, kind, payload=b"", *, index=0, aux=0):
        here = self.nodes[0]
        ask(here, aux, index, payload)
        for node in self.nodes[1:]:
            node.hears(here)
            here.hears(node)
        return answer(here)


def rows_of(*nodes):
    return Everywhere(Client(*nodes), 60)


def test_a_task_that_runs_elsewhere_is_one_row_with_what_both_know(pair):
    a, b = pair
    a.dies(C)
    a.submit("t", needs=GPU)
    a.placed("t", B)
    b.hears(a)
    b.attach(b.runs["t"].client)
    [row] = rows_of(a, b).tasks()
    assert (row.node, row.worker, row.state) == ("node 2", b.runs["t"].client, 4)
    a.acknowledged()
    b.hears(a)
    b.finish("t")
    b.acknowledged()
    a.hears(b)
    [row] = rows_of(a, b).tasks()
    assert (row.node, row.worker, row.state, row.home) == ("node 2", b.runs["t"].client, 7, 0)


def test_a_guest_that_went_back_leaves_no_row(pair):
    a, b = pair
    a.dies(C)
    a.submit("t", needs={"TPU": 1})
    a.placed("t", B)
    b.hears(a)
    a.hears(b)
    [row] = rows_of(a, b).tasks()
    assert (row.worker, row.state) == (0, 6)


def test_rows_of_several_nodes_come_newest_first_in_pages(pair):
    a, b = pair
    a.dies(C)
    for i in range(6):
        (a, b)[i % 2].now_ns = i * 1_000_000
        (a, b)[i % 2].submit(f"t{i}", needs={"TPU": 1})
    found = [a.names[row.id] for row in rows_of(a, b).tasks(page_rows=2)]
    assert found == [f"t{i}" for i in range(5, -1, -1)]


def test_an_object_is_a_row_for_each_node_on_which_somebody_refers_to_it(pair):
    a, b = pair
    a.dies(C)
    a.put("root!1", "x")
    b.hold("root!1", 1)
    rows = list(rows_of(a, b).objects(id=a.object("root!1")))
    assert {row.node for row in rows} == {"node 1", "node 2"}
    assert {(row.size, row.state) for row in rows} == {(rows[0].size, 1)}
