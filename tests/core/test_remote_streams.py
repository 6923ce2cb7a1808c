"""Streams whose generator runs on another node: items come as they are made, large ones stay there until they are held."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.neighbours import A, B, Neighbour

GPU = {"GPU": 1}


@pytest.fixture
def pair():
    """A stream that a reads and b makes; the store has acknowledged it."""
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


def begun(pair, **options):
    a, b = pair
    a.submit("s", needs=GPU, n_returns=p.STREAMING, **options)
    a.placed("s", B)
    a.acknowledged()
    b.hears(a)
    b.attach(b.runs["s"].client)
    return a, b


def test_small_items_come_as_they_are_made_and_the_end_after_them(pair):
    a, b = begun(pair)
    assert b.give("s.1", "x") == ["to 1: item s.1"]
    assert a.hears(b) == []
    assert a.next("s.1") == ["ready for 1 []"]
    assert a.get("s.1") == ["1 gets s.1: x"]
    assert a.next("s.2") == []
    assert b.finish("s") == ["store: done s"]
    b.acknowledged()
    assert a.hears(b) == ["end for 1"]


def test_a_large_item_stays_until_the_home_holds_it(pair):
    a, b = begun(pair)
    assert b.give("s.1", b.in_arena(200_000, client=2)) == ["store: put s.1"]
    assert b.acknowledged() == ["to 1: item s.1"]
    assert a.hears(b) == ["store: hold s.1"]
    assert a.acknowledged() == ["to 2: held s.1"]
    assert b.hears(a) == ["store: release s.1"]
    assert a.next("s.1") == ["to 2: pull what is of s.1"]


def test_an_item_that_nobody_reads_any_more_is_let_go_at_once(pair):
    a, b = begun(pair)
    a.release("s")
    b.give("s.1", b.in_arena(200_000, client=2))
    b.acknowledged()
    assert a.hears(b) == ["to 2: held s.1"]
    assert b.hears(a) == ["store: release s.1"]


def test_a_generator_that_may_not_be_ahead_hears_how_far_the_reader_is(pair):
    a, b = begun(pair, backpressure=1)
    b.give("s.1", "x")
    a.hears(b)
    assert b.send(p.EV_AWAIT_READ, 2, object=b.object("s.1"), request=9) == []
    assert a.next("s.1") == ["ready for 1 []", "to 2: read s.1"]
    assert b.hears(a) == ["ready for 2! []"]


def test_a_generator_hears_that_there_is_no_reader(pair):
    a, b = begun(pair, backpressure=1)
    b.give("s.1", "x")
    a.hears(b)
    b.send(p.EV_AWAIT_READ, 2, object=b.object("s.1"), request=9)
    assert "to 2: read s" in a.release("s")
    assert b.hears(a) == ["end for 2"]


def test_who_submits_a_guests_stream_again_gets_one_of_its_own(pair):
    """Its parent runs here as well; the items of this one go to its home."""
    _, b = begun(pair)
    b.attach(9, p.CLIENT_DRIVER)
    assert b.submit("s", 9, confirm=True, n_returns=p.STREAMING) == ["ready for 9! []"]


def test_after_a_crash_items_that_came_already_do_not_come_again(pair):
    a, b = begun(pair, max_retries=1)
    b.give("s.1", "x")
    a.hears(b)
    a.next("s.1")
    b.detach(2, started=1)
    a.hears(b)
    a.acknowledged()
    a.placed("s", B)
    b.hears(a)
    b.attach(b.runs["s"].client)
    b.give("s.1", "x again")
    b.give("s.2", "y")
    a.hears(b)
    assert a.next("s.2") == ["ready for 1 []"]
    assert a.get("s.1", "s.2") == ["1 gets s.1: x", "1 gets s.2: y"]
