"""What a node tells of its tables: which rows, in which order, page by page; and what it refuses to answer."""

from __future__ import annotations

import itertools

import pytest

from raylite.util.state.reports import DETAIL
from tests.core import protocol as p
from tests.core.host import DRIVER, MS, OTHER

WAITING, READY, RUNNING = 1, 2, 4
ROWS = (p.QUERY_TASK_ROWS, p.QUERY_ACTOR_ROWS, p.QUERY_OBJECT_ROWS, p.QUERY_CLIENT_ROWS)


@pytest.fixture
def busy(host):
    """A host whose one CPU runs "t0"; "t1" to "t9" wait; each is a millisecond younger than the one before."""
    for i in range(10):
        host.now_ns = i * MS
        host.submit(f"t{i}", name=f"name of t{i}")
    host.attach(2)
    return host


def tasks(host, **query):
    return [host.names[row.id] for row in host.reports().tasks(**query)]


def test_the_latest_come_first(busy):
    assert tasks(busy) == [f"t{i}" for i in range(9, -1, -1)]


def test_of_one_moment_the_larger_id_comes_first(host):
    names = [f"t{i}" for i in range(20)]
    for name in names:
        host.submit(name)
    found = tasks(host)
    assert sorted(found) == sorted(names)
    assert found == tasks(host, page_rows=3)


@pytest.mark.parametrize("page_rows", [1, 2, 3, 9, 10, 11])
def test_pages_make_the_whole(busy, page_rows):
    assert tasks(busy, page_rows=page_rows) == tasks(busy)


def test_no_page_is_longer_than_asked_for(busy):
    sizes = []
    asked = busy.query

    class Counting:
        def query(self, what, payload):
            answer = asked(what, payload)
            sizes.append(int.from_bytes(answer[:4], "little"))
            return answer

    question = busy.reports()
    question.client = Counting()
    assert len(list(question.tasks(page_rows=4))) == 10
    assert sizes == [4, 4, 2]


def test_tasks_that_come_and_end_between_two_pages(busy):
    rows = busy.reports().tasks(page_rows=2)
    found = [busy.names[row.id] for row in itertools.islice(rows, 4)]
    busy.now_ns += MS
    busy.submit("new")
    busy.finish("t0")
    busy.release("t0")
    found += [busy.names[row.id] for row in rows]
    assert found == [f"t{i}" for i in range(9, -1, -1)]


def test_long_rows_make_short_pages(host):
    for i in range(6):
        host.now_ns = i * MS
        host.submit(f"t{i}", name="x" * (1 << 20))
    answer = host.query(p.QUERY_TASK_ROWS, host_query(limit=100))
    assert int.from_bytes(answer[:4], "little") == 4
    assert len(answer) < (4 << 20) + (1 << 20)
    assert tasks(host) == [f"t{i}" for i in range(5, -1, -1)]


def host_query(limit):
    from raylite.util.state.reports import QUERY

    return QUERY.pack(b"", b"", 0, b"", 0, limit, 0xFFFFFFFF, 0)


def test_none_at_all_and_none_wanted(host):
    assert tasks(host) == [] == list(host.reports().actors()) == list(host.reports().objects())
    host.submit("a")
    assert tasks(host, page_rows=0) == []


def test_tasks_of_a_state(busy):
    assert tasks(busy, states=1 << RUNNING) == ["t0"]
    assert tasks(busy, states=1 << READY, page_rows=2) == [f"t{i}" for i in range(9, 0, -1)]
    assert tasks(busy, states=1 << READY | 1 << RUNNING) == tasks(busy)
    assert tasks(busy, states=0) == []


def test_tasks_of_an_actor(alive):
    alive.make("B")
    alive.submit("a")
    alive.call("c1", "A")
    alive.call("c2", "B")
    alive.finish("c1")
    assert sorted(tasks(alive, actor=alive.task("A"))) == ["A", "c1"]


def test_one_task(busy):
    assert tasks(busy, id=busy.task("t3")) == ["t3"]
    assert tasks(busy, id=bytes(15) + b"x") == []


def test_references_and_errors_are_told_when_asked_for(host):
    host.submit("a")
    host.attach(2)
    host.submit("b", refs=["a"])
    host.fail("a")
    [row] = host.reports().tasks(id=host.task("b"))
    assert (row.refs, row.error) == ([], b"")
    [row] = host.reports().tasks(id=host.task("b"), flags=DETAIL)
    assert row.refs == host.objects(["a"])
    assert row.error


def test_a_worker_s_submission_is_not_a_driver_s(host):
    host.submit("a")
    host.attach(2)
    host.submit("b", 2, parent="a")
    assert (host.past("a").is_drivers, host.past("b").is_drivers) == (True, False)
    assert host.past("b").parent == host.task("a")


def test_objects(host):
    host.submit("a")
    host.attach(2)
    host.attach(OTHER + 5, p.CLIENT_DRIVER)
    host.submit("b", refs=["a"], n_returns=2)
    host.hold("a", OTHER + 5)
    host.put("root!1", p.envelope(b"list", refs=host.objects(["b.1"])))
    rows = {host.name(row.id): row for row in host.reports().objects()}
    assert set(rows) == {"a", "b", "b.1", "root!1"}, "functions are none"
    assert (rows["a"].state, rows["a"].creator_state, rows["a"].n_task_holds) == (0, RUNNING, 1)
    assert rows["a"].holders == [DRIVER, OTHER + 5]
    assert (rows["b.1"].n_container_holds, rows["b.1"].creator_state) == (1, WAITING)
    assert (rows["root!1"].state, rows["root!1"].creator_state, rows["root!1"].holders) == (1, 0, [DRIVER])
    assert rows["root!1"].size > 0


def test_one_object_and_who_views_it(host):
    host.put("root!1", host.in_arena(1000))
    host.get("root!1")
    host.put("root!2")
    [row] = host.reports().objects(id=host.object("root!1"))
    assert (host.name(row.id), row.viewers, row.size) == ("root!1", [DRIVER], 1000)


@pytest.mark.parametrize("what", ROWS)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(87), bytes(96)])
def test_a_question_of_the_wrong_size_is_refused(host, what, payload):
    host.send(p.EV_QUERY, DRIVER, object=p.object_id(bytes(16), what), request=1, payload=payload)
    [command] = host.commands
    assert (command.kind, command.aux) == (p.CMD_REJECT, p.EV_QUERY)


def test_a_question_after_nothing_known_is_refused(host):
    host.send(p.EV_QUERY, DRIVER, object=p.object_id(bytes(16), 19), request=1, payload=host_query(limit=1))
    assert [command.kind for command in host.commands] == [p.CMD_REJECT]


def test_a_limit_beyond_all_reason_is_the_node_s_own(busy):
    answer = busy.query(p.QUERY_TASK_ROWS, host_query(limit=0xFFFFFFFF))
    assert int.from_bytes(answer[:4], "little") == 10


def test_the_same_events_lead_to_the_same_answers(make_host):
    def answers(host):
        host.make("A")
        for i in range(50):
            host.submit(f"t{i}", refs=[f"t{i - 1}"] if i else [])
            host.call(f"c{i}", "A")
        return [host.query(what, host_query(limit=30)) for what in ROWS]

    assert answers(make_host({"CPU": 2})) == answers(make_host({"CPU": 2}))
