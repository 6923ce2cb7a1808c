"""Submissions of actors and calls that are repeated, clash, or are malformed; any events in any order."""

from __future__ import annotations

import pytest

from raylite._core.rng import Random
from tests.core import protocol as p
from tests.core.host import DRIVER, MS, Host

# ---- creations that are repeated, or clash ---------------------------------------------------------------------


def test_a_parent_that_runs_again_makes_another(alive):
    """As in Ray: an actor is made once only; the client then takes another id."""
    assert alive.create("A", confirm=True) == ["ready for 1! []"]
    assert alive.commands[0].aux == p.SUBMIT_TAKEN
    assert alive.create("A'", confirm=True) == ["ready for 1 []", "spawn 3", "make A' on 3"]


@pytest.mark.parametrize("max_restarts", [0, 1])
def test_an_actor_submitted_twice_is_the_same(wide, max_restarts):
    wide.make("A", max_restarts=max_restarts)
    assert wide.create("A", 7, max_restarts=max_restarts) == []
    assert wide.release("A@") == []
    assert wide.release("A@", client=7) == ["stop 2"]


def test_the_id_of_an_actor_is_no_other_tasks(alive):
    """A parent that runs again may do something else where it made the actor."""
    sizes = alive.sizes()
    assert alive.submit("A", confirm=True) == ["ready for 1! []"]
    assert alive.commands[0].aux == p.SUBMIT_TAKEN
    assert alive.submit("A") == []
    assert alive.sizes() == sizes


def test_a_call_that_has_ended_is_made_again_by_a_parent_that_runs_again(alive):
    """Its actor may have been made anew under the same id, and have forgotten the call."""
    alive.call("c", "A", confirm=True)
    assert alive.call("c", "A", confirm=True) == ["ready for 1 []"]  # it is under way
    alive.finish("c")
    assert alive.call("c", "A", confirm=True) == ["ready for 1! []"]
    assert alive.commands[0].aux == p.SUBMIT_TAKEN
    assert alive.call("c'", "A", confirm=True) == ["ready for 1 []", "call c' on 2"]


def test_a_creation_that_is_declined_is_given_out_again(wide):
    wide.create("A")
    assert wide.declined("A", flags=p.DECLINED_NO_FUNCTION) == ["make A on 2"]
    assert wide.run_of("A").function_body
    wide.call("c", "A")
    assert wide.made("A") == ["call c on 2"]


def test_the_id_of_a_task_is_no_actors(wide):
    wide.submit("a")
    assert wide.create("a", confirm=True, digest=1) == ["ready for 1! []"]
    assert wide.sizes().get("actors") is None


# ---- malformed -------------------------------------------------------------------------------------------------


def state_of(host):
    return host.node.sizes(), host.node.resources(), host.node.workers(), len(host.node.story()), host.actor_names()


def submissions(host):
    """A whole submission of an actor and one of a call, with all that they may have."""
    args = p.envelope(b"args", kind=p.KIND_ARGUMENTS, refs=host.objects(["root!1"]))
    common = {"refs": host.objects(["root!1"]), "name": "a name", "args": args, "demand": p.demand({"CPU": 1})}
    actor = p.actor(groups=(1, 2, 3), name=b"space\nnew", handle=p.envelope(b"handle", refs=host.objects(["A@"])))
    return {
        "actor": p.submit(host.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=actor, **common),
        "call": p.submit(host.object("f()"), flags=p.SUBMIT_CALL, more=p.call(host.task("A")), **common),
    }


@pytest.fixture
def busy(alive):
    alive.put("root!1", "value")
    return alive


@pytest.mark.parametrize("kind", ["actor", "call"])
def test_cut_at_any_byte_a_submission_is_rejected_and_changes_nothing(busy, kind):
    payload = submissions(busy)[kind]
    before = state_of(busy)
    for size in range(len(payload)):
        assert busy.send_submission("new", DRIVER, payload[:size], False) == [f"reject {p.EV_SUBMIT} from 1"], size
        assert state_of(busy) == before
    assert not busy.send_submission("new", DRIVER, payload, False)[0].startswith("reject")


@pytest.mark.parametrize("kind", ["actor", "call"])
def test_with_damaged_bytes_nothing_crashes_and_what_is_rejected_changes_nothing(kind):
    random = Random(len(kind))
    for _ in range(400):
        host = Host({"CPU": 2}).make("A")
        host.put("root!1", "value")
        damaged = bytearray(submissions(host)[kind])
        for _ in range(1 + random.below(3)):
            damaged[random.below(len(damaged))] ^= 1 << random.below(8)
        before = state_of(host)
        try:
            said = host.send_submission("new", DRIVER, bytes(damaged), False)
        except (KeyError, UnicodeDecodeError):
            said = []  # it tells of an object whose id no name has, or of a name that is no text
        if any(line.startswith("reject") for line in said):
            assert state_of(host) == before
        host.node.check_invariants()


@pytest.mark.parametrize(
    "fault",
    [
        {"groups": ()},
        {"groups": (0,)},
        {"groups": (1, 0)},
        {"groups": (1,) * 1025},
        {"max_restarts": -2},
        {"handle": b"no envelope"},
        {"handle": p.envelope(kind=p.KIND_USER_ERROR)},
    ],
    ids=str,
)
def test_an_impossible_actor_is_rejected(busy, fault):
    before = state_of(busy)
    payload = p.submit(busy.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=p.actor(**fault))
    assert busy.send_submission("new", DRIVER, payload, False) == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(busy) == before


def test_an_actor_has_no_results_and_is_no_call(busy):
    before = state_of(busy)
    for flags, more, n_returns in (
        (p.SUBMIT_ACTOR, p.actor(), 1),
        (p.SUBMIT_ACTOR | p.SUBMIT_CALL, p.call(busy.task("A")) + p.actor(), 0),
        (p.SUBMIT_CALL, p.call(busy.task("new")), 1),  # of itself
    ):
        payload = p.submit(busy.object("f()"), n_returns=n_returns, flags=flags, more=more)
        assert busy.send_submission("new", DRIVER, payload, False) == [f"reject {p.EV_SUBMIT} from 1"]
    assert state_of(busy) == before


def test_random_events_about_actors_do_not_crash_it():
    """Of any kind, by any client, in any order; submissions are whole."""
    names = ["A", "B", "c", "d", "t", "A@", "B@", "f()", "root!1", "unknown@", "c.1"]
    for seed in range(150):
        random = Random(1000 + seed)
        host = Host({"CPU": 2, "GPU": 1}, worker_cap=1 + random.below(3))
        ids = host.objects(names)
        for _ in range(60):
            host.now_ns += random.below(2 * MS)
            event(host, random, ids)
            host.node.check_invariants()


def event(host, random, ids):
    kind, client, id = random.below(12), 1 + random.below(6), ids[random.below(len(ids))]
    refs = [ids[random.below(len(ids))] for _ in range(random.below(2))]
    fields = {"object": id, "request": random.below(4), "flags": random.below(16), "attempt": random.below(2)}
    if kind < 2:
        more = p.actor(max_restarts=random.below(3) - 1, groups=(1 + random.below(2),) * (1 + random.below(2)),
                       name=[b"", b"s\nn"][random.below(2)], flags=random.below(8))  # fmt: skip
        payload = p.submit(host.object("f()"), n_returns=0, flags=p.SUBMIT_ACTOR, more=more, refs=refs,
                           demand=p.demand([{}, {"CPU": 1}, {"GPU": 1}][random.below(3)]))  # fmt: skip
        host.node.handle(host.now_ns, p.EV_SUBMIT, client, payload=payload, **{**fields, "flags": fields["flags"] & 4})
    elif kind < 6:
        actor = ids[random.below(3)][:16]
        payload = p.submit(host.object("f()"), flags=p.SUBMIT_CALL, max_retries=random.below(2), refs=refs,
                           more=p.call(actor, group=random.below(2)), parent=ids[random.below(3)][:16],
                           n_returns=random.below(3) - 1)  # fmt: skip
        host.node.handle(host.now_ns, p.EV_SUBMIT, client, payload=payload, **{**fields, "flags": fields["flags"] & 4})
    elif kind == 6:
        values = [p.inline_value(p.envelope(b"v", kind=random.below(2))) for _ in range(random.below(3))]
        host.node.handle(host.now_ns, p.EV_FINISHED, client, payload=p.finished(*values), **fields)
    elif kind == 7:
        host.node.handle(host.now_ns, p.EV_DETACH, client, payload=b"signal 9", request=random.below(5))
    elif kind == 8:
        host.node.handle(host.now_ns, p.EV_KILL, client, **fields)
    else:
        kinds = (p.EV_ATTACH, p.EV_CANCEL, p.EV_HOLD, p.EV_RELEASE, p.EV_DECLINED, p.EV_GET, p.EV_TICK, p.EV_LOST)
        payload = p.on_wire(id, *refs)
        host.node.handle(host.now_ns, kinds[random.below(len(kinds))], client, payload=payload, **fields)
