"""wait() for what is on other nodes: with fetch_local=False it is enough that it exists."""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.neighbours import A, B, Neighbour

GPU = {"GPU": 1}
SIZE = 5 << 20


@pytest.fixture
def pair():
    """Node a, and b with a GPU, which runs t for a and will give it a value that is too large to travel along."""
    a = Neighbour(A, {"CPU": 1})
    b = Neighbour(B, {"CPU": 1, "GPU": 1}).named_by(a)
    a.submit("t", needs=GPU)
    a.placed("t", B)
    b.hears(a)
    b.attach(b.runs["t"].client)
    a.acknowledged()
    b.hears(a)
    yield a, b
    a.node.check_invariants()
    b.node.check_invariants()


def ends(a, b):
    """t ends, and a hears of it."""
    b.finish("t", b.in_arena(SIZE, client=b.runs["t"].client))
    b.acknowledged()
    return a.hears(b)


def test_what_exists_elsewhere_is_brought_here_first(pair):
    a, b = pair
    assert a.wait("t") == []
    assert ends(a, b) == ["to 2: pull what is of t"]


@pytest.mark.parametrize("is_first", [True, False], ids=["before it exists", "when it exists"])
def test_it_may_stay_where_it_is(pair, is_first):
    a, b = pair
    said = []
    if is_first:
        said += a.wait("t", flags=p.WAIT_ANYWHERE)
    said += ends(a, b)
    if not is_first:
        said += a.wait("t", flags=p.WAIT_ANYWHERE)
    assert said == ["ready for 1 [0]"]


def test_who_wants_it_here_has_it_brought_whoever_else_is_content(pair):
    a, b = pair
    a.wait("t", flags=p.WAIT_ANYWHERE)
    a.wait("t")
    assert sorted(ends(a, b)) == ["ready for 1 [0]", "to 2: pull what is of t"]


def test_what_is_wanted_anywhere_and_nowhere_is_asked_of_the_store(pair):
    _, b = pair
    b.hold("t", 1)
    b.release("t", client=1)
    assert b.wait("x", flags=p.WAIT_ANYWHERE) == ["store: hold x", "store: watch x"]
    assert b.stored("x", A, size=SIZE) == ["ready for 1 [0]", "store: unwatch x"]
