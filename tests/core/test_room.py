"""A full arena: what makes way for a lease and in which order, how it comes back, who waits, and when it is refused.

The arena of `host` holds four blocks, in one segment; each value here has one.
"""

from __future__ import annotations

import pytest

from tests.core import protocol as p
from tests.core.host import DRIVER, MS, Record

BLOCK = p.BLOCK_ALIGNMENT
PATIENCE_NS = 500 * MS
NO_SPACE = 28
NODE_CLIENT = 0x7FFFFFFF
OBJECT_IN_ARENA, OBJECT_RELEASED, OBJECT_SPILLED = 2, 3, 5


@pytest.fixture
def disk(make_host):
    """A host with room for four blocks, a disk, and two CPUs."""
    host = make_host({"CPU": 2}, object_store_bytes=4 * BLOCK, segment_bytes=4 * BLOCK, spills=True)
    host.now_ns = MS
    return host


@pytest.fixture
def no_disk(make_host):
    host = make_host({"CPU": 2}, object_store_bytes=4 * BLOCK, segment_bytes=4 * BLOCK)
    host.now_ns = MS
    return host


def fill(host, *names):
    """Put values of a block each."""
    for name in names or ("root!1", "root!2", "root!3", "root!4"):
        host.put(name, host.in_arena(BLOCK))
    return host


def view(host, name, client=DRIVER):
    """Have a client look at a value of the arena."""
    [line] = host.get(name, client=client)
    assert line == f"{client} gets {name}: {line.partition(': ')[2]}"
    return line.partition(": ")[2]


def worker_makes(host, task, client=2):
    """The task of this name has made a value of a block; its worker says so."""
    return host.finish(task, host.in_arena(BLOCK, client))


def states(host):
    return {host.name(row.id): row.state for row in host.reports().objects()}


# ---- what makes way --------------------------------------------------------------------------------------------


def test_what_was_asked_for_longest_ago_makes_way(disk):
    fill(disk)
    view(disk, "root!1")
    disk.unpin("root!1")
    assert disk.lease(BLOCK) == [f"spill 1: 1+{BLOCK}"]
    assert disk.spilled(1) == [f"leased 1 1+{BLOCK}"]
    assert disk.node.sizes()["spilled"] == 1


def test_as_much_makes_way_as_is_wanted_and_no_more(disk):
    fill(disk)
    assert disk.lease(2 * BLOCK) == ["spill 1: 1+0", f"spill 2: 1+{BLOCK}"]
    assert disk.spilled(1) == []
    assert disk.spilled(2) == ["leased 1 1+0"]


def test_what_is_viewed_stays(disk):
    fill(disk)
    view(disk, "root!1")
    assert disk.lease(BLOCK) == [f"spill 1: 1+{BLOCK}"]


def test_what_is_viewed_while_it_is_written_stays_and_the_next_makes_way(disk):
    fill(disk)
    disk.lease(BLOCK)
    assert view(disk, "root!1") == "1+0"
    assert disk.spilled(1) == [f"spill 2: 1+{BLOCK}"]
    assert disk.spilled(2) == [f"leased 1 1+{BLOCK}"]


def test_what_the_disk_has_already_makes_way_at_once(disk):
    fill(disk)
    disk.lease(BLOCK)
    view(disk, "root!1")
    disk.spilled(1)  # it stays, as it is viewed
    disk.spilled(2)
    for name in ("root!3", "root!4"):
        view(disk, name)
        disk.unpin(name)
    disk.unpin("root!1")
    assert disk.lease(BLOCK) == ["leased 1 1+0"]


def test_what_nobody_needs_is_not_written(disk):
    fill(disk)
    disk.lease(BLOCK)
    disk.release("root!1")
    said = disk.spilled(1)
    assert sorted(said) == ["drop spilled 1", "leased 1 1+0"]
    assert disk.node.sizes()["spilled"] == 0


def test_the_disk_forgets_what_nobody_needs_any_more(disk):
    fill(disk)
    disk.lease(BLOCK)
    disk.spilled(1)
    assert disk.release("root!1") == ["drop spilled 1"]
    assert disk.node.sizes()["spilled"] == 0


# ---- coming back -----------------------------------------------------------------------------------------------


def spilled_first(host):
    """Values 1 to 5, of which the first is on the disk only."""
    fill(host)
    host.lease(BLOCK)
    host.spilled(1)
    where = p.read_location(host.last(p.CMD_LEASED).payload)
    host.put("root!5", Record(p.arena_value(where)))
    return host


def test_a_value_on_disk_comes_back_when_it_is_asked_for(disk):
    spilled_first(disk)
    assert disk.get("root!1") == [f"spill 2: 1+{BLOCK}"]
    [made] = disk.spilled(2)
    assert made == f"make segment 2 of {4 * BLOCK} for {NODE_CLIENT}"
    assert disk.segment(2) == ["bring back 1: 2+0"]
    assert disk.restored(1) == ["1 gets root!1: 2+0"]


def test_to_wait_for_a_value_on_disk_does_not_bring_it_back(disk):
    spilled_first(disk)
    assert disk.wait("root!1") == ["ready for 1 [0]"]


def test_a_value_that_came_back_goes_again_without_being_written(disk):
    spilled_first(disk)
    disk.get("root!1")
    disk.spilled(2)
    disk.segment(2)
    disk.restored(1)
    disk.unpin("root!1")
    for name in ("root!3", "root!4", "root!5"):
        view(disk, name)
        disk.unpin(name)
    disk.lease(BLOCK)  # no spill
    assert disk.commands[0].kind != p.CMD_SPILL
    assert states(disk)["root!1"] == OBJECT_SPILLED


def test_a_task_waits_until_its_argument_is_back(disk):
    spilled_first(disk)
    assert disk.submit("a", refs=["root!1"]) == [f"spill 2: 1+{BLOCK}"]
    disk.spilled(2)
    disk.segment(2)
    assert disk.restored(1) == ["spawn 2", "run a on 2"]
    assert disk.run_of("a").values[0].where[:2] == (2, 0)


def test_a_ready_task_whose_argument_was_spilled_waits_for_it_again(disk):
    fill(disk)
    for name in ("busy", "busier"):
        disk.submit(name)
    disk.submit("a", refs=["root!1"])
    disk.lease(BLOCK)
    disk.spilled(1)
    disk.attach(2)
    disk.attach(3)
    disk.forget(disk.last_request)
    assert disk.story_of("a")[-1] == "READY"
    said = disk.finish("busy")
    assert "run a on 2" not in said
    assert any(line.startswith(("spill", "bring back", "make segment")) for line in said)


def test_arguments_are_brought_together_for_as_many_tasks_as_half_of_the_arena_takes(disk):
    fill(disk, "root!1", "root!2", "root!3", "root!4")
    disk.lease(4 * BLOCK)
    for number in (1, 2, 3, 4):
        disk.spilled(number)
    where = p.read_location(disk.last(p.CMD_LEASED).payload)
    disk.give_back(where)
    said = [disk.submit(f"t{number}", refs=[f"root!{number}"]) for number in (1, 2, 3, 4)]
    assert said[2] == said[3] == []
    assert disk.node.sizes()["room"] == 4
    for number in (1, 2):
        if any(line.startswith("make segment") for line in said[number - 1]):
            disk.segment(2)
    assert disk.restored(1) == ["spawn 2", "run t1 on 2", f"bring back 3: 1+{2 * BLOCK}"]


def test_bytes_that_the_disk_lost_are_made_again(disk):
    disk.submit("a")
    disk.attach(2)
    worker_makes(disk, "a")
    fill(disk, "root!1", "root!2", "root!3")
    disk.lease(BLOCK)
    disk.spilled(1)
    disk.forget(disk.last_request)
    disk.get("a")
    said = disk.segment(3) if disk.commands and disk.commands[-1].kind == p.CMD_SEGMENT else []
    assert "run a" in " ".join(disk.restored(1, errno=74)), said


def test_bytes_of_a_put_that_the_disk_lost_are_an_error_that_says_so(disk):
    spilled_first(disk)
    disk.release("root!2")
    disk.get("root!1")
    if disk.commands[-1].kind == p.CMD_SEGMENT:
        disk.segment(2)
    said = disk.restored(1, errno=74)
    assert said[-1] == "1 gets root!1: lost!"


# ---- waiting and giving up -------------------------------------------------------------------------------------


def test_leases_are_served_in_their_order(disk):
    fill(disk)
    view(disk, "root!4")
    disk.lease(3 * BLOCK)
    assert disk.lease(BLOCK) == []
    assert disk.spilled(1) == disk.spilled(2) == []
    assert disk.spilled(3) == ["leased 1 1+0"]
    disk.unpin("root!4")
    assert disk.spilled(4) == [f"leased 1 1+{3 * BLOCK}"]


def test_views_alone_fill_the_arena_and_a_lease_gets_a_file(disk):
    fill(disk)
    for number in range(1, 5):
        view(disk, f"root!{number}")
    assert disk.lease(BLOCK) == []
    assert disk.node.deadline_ns() == MS + PATIENCE_NS
    assert disk.tick(PATIENCE_NS) == [f"make segment 2 of {BLOCK} for 1 on disk"]
    assert disk.segment(2) == ["leased 1 2+0"]
    disk.put("root!5", Record(p.arena_value(p.read_location(disk.last(p.CMD_LEASED).payload))))
    assert disk.node.sizes()["arena_bytes"] == 4 * BLOCK
    assert disk.lease(BLOCK) == [f"make segment 3 of {BLOCK} for 1 on disk"]  # nothing has changed since
    assert disk.release("root!5") == ["drop segment 2"]


def test_a_view_that_ends_in_time_makes_way(disk):
    fill(disk)
    for number in range(1, 5):
        view(disk, f"root!{number}")
    disk.lease(BLOCK)
    assert disk.unpin("root!3") == [f"spill 1: 1+{2 * BLOCK}"]
    assert disk.spilled(1) == [f"leased 1 1+{2 * BLOCK}"]


def test_a_full_disk_is_said_and_nothing_is_lost(disk):
    fill(disk)
    disk.lease(BLOCK)
    assert disk.spilled(1, NO_SPACE) == []
    assert view(disk, "root!1") == "1+0"
    disk.unpin("root!1")
    assert disk.tick(PATIENCE_NS) == [f"spill 2: 1+{BLOCK}"]  # once more: others may have made room on the disk
    assert disk.spilled(2, NO_SPACE) == ["full for 1, and so is the disk"]
    assert states(disk)["root!2"] == OBJECT_IN_ARENA


def test_no_disk_and_nothing_that_can_be_made_again_is_full(no_disk):
    fill(no_disk)
    view(no_disk, "root!2")
    assert no_disk.lease(BLOCK) == []
    assert no_disk.tick(PATIENCE_NS) == ["full for 1"]
    text = no_disk.last(p.CMD_LEASED).payload[p.LOCATION.size :].decode()
    assert text == f"process 0 (the driver) has views of {BLOCK} bytes"


def test_with_no_disk_what_can_be_made_again_makes_way(no_disk):
    no_disk.submit("a", max_retries=3)
    no_disk.attach(2)
    worker_makes(no_disk, "a")
    fill(no_disk, "root!1", "root!2", "root!3")
    view(no_disk, "a")
    no_disk.unpin("a")
    [line] = no_disk.lease(BLOCK)
    assert line.startswith(("leased 1", "make segment"))
    assert states(no_disk)["a"] == OBJECT_RELEASED
    assert no_disk.get("a") == ["run a on 2 again 1"]


@pytest.mark.parametrize("retries", [0])
def test_with_no_disk_what_has_no_retries_left_stays(no_disk, retries):
    no_disk.submit("a", max_retries=retries)
    no_disk.attach(2)
    worker_makes(no_disk, "a")
    fill(no_disk, "root!1", "root!2", "root!3")
    assert no_disk.lease(BLOCK) == []


def test_who_gives_up_waiting_leaves_the_queue(disk):
    fill(disk)
    for number in range(1, 5):
        view(disk, f"root!{number}")
    disk.lease(BLOCK)
    request = disk.last_request
    disk.forget(request)
    assert disk.node.sizes()["room"] == 0


def test_who_gives_up_a_lease_on_its_way_has_it_not(disk):
    disk.in_arena(BLOCK)
    disk.forget(disk.last_request)
    assert disk.node.sizes()["arena_bytes"] == 0


def test_a_client_that_dies_waits_no_more_and_its_views_make_way(disk):
    fill(disk)
    disk.attach(9, p.CLIENT_DRIVER)
    disk.hold("root!1", 9)
    view(disk, "root!1", 9)
    for number in (2, 3, 4):
        view(disk, f"root!{number}")
    disk.lease(BLOCK, 9)
    disk.lease(BLOCK)
    assert disk.detach(9) == ["spill 1: 1+0"]
    assert disk.spilled(1) == ["leased 1 1+0"]
