"""What a node says of who waits for what: each reason, the chain, circles, and what is no circle."""

from __future__ import annotations

import pytest

from raylite.util.state.waits import QUERY, TELL_ONCE
from tests.core import protocol as p
from tests.core.host import DRIVER, MS, OTHER


def test_what_is_ready_says_so(host):
    host.submit("a")
    host.attach(2)
    host.finish("a")
    [step] = host.explain("a").steps
    assert (step.kind, step.reason, step.size > 0, step.state) == ("object", "there", True, 1)


def test_what_nobody_knows_is_gone(host):
    assert host.chain("x") == ["x gone"]


def test_a_task_that_runs_says_where_and_since_when(host):
    host.now_ns = 5 * MS
    host.submit("a")
    host.attach(2, process=77)
    host.now_ns = 9 * MS
    answer = host.explain("a")
    assert host.chain("a") == ["a made", "a runs"]
    assert (answer.steps[1].process, answer.steps[1].since_ns, answer.now_ns) == (77, 5 * MS, 9 * MS)


def test_a_worker_that_is_not_there_yet(host):
    host.submit("a")
    assert host.chain("a") == ["a made", "a starts"]


def test_a_chain_leads_to_what_runs(host):
    host.submit("a")
    host.submit("b", refs=["a"])
    host.submit("c", refs=["b"])
    host.attach(2)
    assert host.chain("c") == ["c made", "c arguments", "b made", "b arguments", "a made", "a runs"]


def test_resources_and_who_holds_them(make_host):
    host = make_host({"CPU": 4, "slot": 1})
    host.submit("a", needs={"slot": 1}, name="holder")
    host.attach(2, process=5)
    host.submit("b", needs={"slot": 1})
    assert host.chain("b") == ["b made", "b resources", "a runs"]
    step = host.explain("b").steps[1]
    assert (step.resource, step.asked, step.available, step.total) == ("slot", 1, 0, 1)
    assert [(h.kind, h.name, h.process, h.amount) for h in step.holders] == [("task", "holder", 5, 1)]


def test_more_than_there_is(host):
    host.submit("a", needs={"CPU": 3})
    assert host.chain("a") == ["a made", "a too much", "stuck"]
    host.submit("b", refs=["a"])
    assert host.chain("b")[-2:] == ["a too much", "stuck"]


def test_what_is_stuck_comes_before_what_goes_on(wide):
    wide.submit("runs")
    wide.submit("never", needs={"CPU": 99})
    wide.submit("both", refs=["runs", "never"])
    assert wide.chain("both") == ["both made", "both arguments", "never made", "never too much", "stuck"]
    assert wide.explain("both").steps[1].n_awaited == 2


def test_tasks_that_hold_what_the_other_lacks_are_a_circle(make_host):
    host = make_host({"CPU": 4, "slot": 1})
    host.submit("a", needs={"slot": 1})
    host.attach(2)
    host.submit("b", needs={"slot": 1}, parent="a", client=2)
    host.get("b", client=2, task="a", flags=p.GET_LENDS)
    assert host.chain("a") == ["a made", "a gets", "b made", "b resources", "back to 1"]


def test_one_holder_that_goes_on_is_enough(make_host):
    host = make_host({"CPU": 4, "slot": 2})
    host.submit("a", needs={"slot": 1})
    host.submit("other", needs={"slot": 1})
    host.attach(2)
    host.attach(3)
    host.submit("b", needs={"slot": 1}, parent="a", client=2)
    host.get("b", client=2, task="a", flags=p.GET_LENDS)
    assert host.chain("a") == ["a made", "a gets", "b made", "b resources", "other runs"]


def test_a_call_waits_for_an_actor_that_is_pending(host):
    host.create("A", needs={"CPU": 9})
    host.call("c", "A")
    assert host.chain("c") == ["c made", "c actor away", "A made", "A too much", "stuck"]


def test_a_call_waits_behind_the_one_that_runs(alive):
    alive.call("c1", "A")
    alive.call("c2", "A")
    alive.call("c3", "A")
    assert alive.chain("c3") == ["c3 made", "c3 busy", "c1 runs"]
    assert alive.explain("c3").steps[1].asked_units == 1


def test_a_call_waits_for_its_callers_call_before_it(alive):
    alive.submit("x", needs={"CPU": 99})
    alive.call("c1", "A", refs=["x"])
    alive.call("c2", "A")
    assert alive.chain("c2") == ["c2 made", "c2 turn", "c1 arguments", "x made", "x too much", "stuck"]


def test_an_actor_that_waits_for_itself_is_a_circle(alive):
    alive.call("c1", "A")
    alive.call("c2", "A", parent="c1", client=2)
    alive.get("c2", client=2, task="c1", flags=p.GET_LENDS)
    assert alive.chain("c1") == ["c1 made", "c1 gets", "c2 made", "c2 busy", "back to 1"]


def test_two_actors_and_a_task_between_them_are_a_circle(alive):
    alive.make("B")
    worker = alive.runs["B"].client
    alive.call("a1", "A")
    alive.submit("t", parent="a1", client=2)
    alive.get("t", client=2, task="a1", flags=p.GET_LENDS)
    task_worker = alive.runs["t"].client
    alive.attach(task_worker)
    alive.call("b1", "B", parent="t", client=task_worker)
    alive.get("b1", client=task_worker, task="t", flags=p.GET_LENDS)
    alive.call("a2", "A", parent="b1", client=worker)
    alive.get("a2", client=worker, task="b1", flags=p.GET_LENDS)
    assert alive.chain("a1")[-1] == "back to 1"
    members = [step.object[:16] for step in alive.explain("a1").steps[1:] if step.kind == "task"]
    assert [alive.names[id] for id in members] == ["a1", "t", "b1", "a2"]


def test_a_wait_for_one_of_two_is_no_circle(alive):
    alive.submit("free")
    alive.call("c1", "A")
    alive.call("c2", "A", parent="c1", client=2)
    alive.wait("c2", "free", count=1, client=2, task="c1", flags=p.GET_LENDS)
    answer = alive.explain("c1")
    assert (answer.back_to, answer.stuck) == (-1, False)
    alive.wait("c2", "free", count=2, client=2, task="c1", flags=p.GET_LENDS, request=900)
    assert not alive.explain("c1").stuck  # two waits at once: either may let it go on


def test_a_wait_for_both_is_a_circle(alive):
    alive.submit("free")
    alive.call("c1", "A")
    alive.call("c2", "A", parent="c1", client=2)
    alive.wait("c2", "free", count=2, client=2, task="c1", flags=p.GET_LENDS)
    assert alive.explain("c1").back_to == 1


def test_a_placement_group_that_is_pending(host):
    host.submit("a")
    host.attach(2)
    host.group("g", {"CPU": 1})
    host.submit("b", group="g", needs={"CPU": 1})
    assert host.chain("b") == ["b made", "b in group", "g resources", "a runs"]
    host.group("h", {"CPU": 9})
    host.submit("c", group="h", needs={"CPU": 1})
    assert host.chain("c") == ["c made", "c in group", "h too much", "stuck"]


def test_a_generator_that_waits_for_its_reader(host):
    host.submit("s", n_returns=p.STREAMING, backpressure=1)
    host.attach(2)
    host.give("s.1")
    host.send(p.EV_AWAIT_READ, 2, object=host.object("s.1"), request=70, flags=p.GET_LENDS)
    assert host.chain("s") == ["s made", "s reader"]
    assert host.explain("s").steps[1].asked_units == 1
    assert host.explain("s.1").steps[0].reason == "there"
    assert host.chain("s.2") == ["s made", "s reader"]


def test_an_object_that_is_made_again_names_the_attempt(host):
    host.submit("a", max_retries=1)
    host.attach(2)
    host.finish("a", host.in_arena(1 << 20, client=2))
    host.lose("a")
    assert host.chain("a") == ["a made", "a runs"]
    assert host.explain("a").steps[1].attempt == 1


def test_a_request_is_explained_to_its_client_alone(host):
    host.submit("a")
    host.submit("b", refs=["a"])
    host.attach(OTHER)
    host.get("a", "b", request=50)
    answer = host.explain(request=50)
    assert [step.kind for step in answer.steps][:2] == ["request", "object"]
    assert answer.steps[0].n_awaited == 2
    assert host.explain(request=50, client=OTHER).steps == []
    assert host.explain(request=1 << 50).steps == []


def test_the_signature_changes_when_something_goes_on_and_not_before(host):
    host.attach(2)
    host.submit("a")
    host.submit("b", refs=["a"])
    host.get("b", request=50)
    first = host.explain(request=50).signature
    host.now_ns += 1000 * MS
    host.submit("unrelated")
    assert host.explain(request=50).signature == first
    host.finish("a")
    assert host.explain(request=50).signature != first


def test_an_end_is_told_once(alive):
    alive.call("c1", "A")
    alive.call("c2", "A", parent="c1", client=2)
    alive.get("c2", client=2, task="c1", flags=p.GET_LENDS, request=60)
    alive.get("c1", request=50)
    assert not alive.explain(request=50, flags=TELL_ONCE).was_told
    assert alive.explain(request=60, client=2, flags=TELL_ONCE).was_told
    assert not alive.explain(request=60, client=2).was_told


def test_long_chains_are_cut(host):
    host.submit("t0")
    for i in range(1, 1200):
        host.submit(f"t{i}", refs=[f"t{i - 1}"])
    answer = host.explain("t1199")
    assert answer.is_cut and len(answer.steps) == 1000


def test_a_get_of_many_is_cut(host):
    for i in range(1100):
        host.submit(f"t{i}")
    host.get(*(f"t{i}" for i in range(1100)), request=50)
    answer = host.explain(request=50)
    assert answer.is_cut and answer.steps[0].n_awaited == 1100


@pytest.mark.parametrize("payload", [b"", bytes(8), bytes(QUERY.size + 8)])
def test_malformed_questions_are_refused(host, payload):
    out = host.send(p.EV_QUERY, DRIVER, object=p.object_id(bytes(16), p.QUERY_EXPLAIN), request=9, payload=payload)
    assert out and out[0].startswith("reject")
