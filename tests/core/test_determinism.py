"""Order never leaks into decisions (rule 6): the same events lead to the same commands, to the byte."""

from __future__ import annotations

import pytest

from raylite._core.node.node import Node
from raylite._core.rng import Random
from tests.core import protocol as p

CLIENTS = (1, 2)
N_TASKS = 60


def conversation(seed: int, clutter: int) -> list[dict]:
    """All commands of a node in a random program; `clutter`: how many unrelated objects were made first and freed.

    Those are of another node, so that memory, and what is in it, differs from one conversation to the next.
    """
    other = Node({"CPU": 10000})
    for i in range(clutter):
        other.handle(
            0, p.EV_PUT, 1, object=p.object_id(p.ROOT, i), payload=p.inline_value(p.envelope(bytes([i % 255]) * i))
        )
    del other
    random = Random(seed)
    node = Node({"CPU": 40000, "GPU": 20000}, worker_cap=5, debug=True)
    function = p.function_id("f()")
    body = p.envelope(b"function", kind=p.KIND_FUNCTION)
    commands = []

    def send(kind, client, **fields):
        commands.extend(node.handle(len(commands), kind, client, **fields))

    for client in CLIENTS:
        send(p.EV_ATTACH, client, flags=p.CLIENT_DRIVER)
    send(p.EV_FUNCTION, 1, object=function, payload=p.function_payload(body, "name"))
    tasks = [p.named_task(str(i)) for i in range(N_TASKS)]
    for i, task in enumerate(tasks):
        refs = [p.object_id(tasks[random.below(i)]) for _ in range(random.below(4))] if i else []
        amounts = {"CPU": 1} if random.below(3) else {"GPU": 0.5, "CPU": 0.25}
        send(p.EV_SUBMIT, CLIENTS[random.below(2)], object=p.object_id(task), payload=p.submit(
            function, refs=refs, demand=p.demand(amounts), max_retries=1, args=p.envelope(b"a" * random.below(9))
        ))  # fmt: skip
        send(p.EV_GET, CLIENTS[random.below(2)], request=i, payload=p.on_wire(p.object_id(task)))
    running: dict[bytes, dict] = {}
    done = 0
    while done < len(commands) or running:
        while done < len(commands):
            command, done = commands[done], done + 1
            if command["kind"] == p.CMD_RUN:
                running[command["object"]] = command
            elif command["kind"] == p.CMD_STOP:
                send(p.EV_DETACH, command["client"])
        if not running:
            break
        names = sorted(running)
        chosen = running[names[random.below(len(names))]]
        of_worker = [run for run in running.values() if run["client"] == chosen["client"]]
        run = running.pop(min(of_worker, key=lambda run: run["request"])["object"])  # they run in the order sent
        if random.below(12) == 0:
            for name in [name for name, other in running.items() if other["client"] == run["client"]]:
                del running[name]
            send(p.EV_ATTACH, run["client"], flags=p.CLIENT_WORKER)
            send(p.EV_DETACH, run["client"], request=run["request"], payload=b"signal 9")
        else:
            value = p.inline_value(p.envelope(b"value" * random.below(30)))
            send(p.EV_FINISHED, run["client"], object=run["object"], attempt=run["attempt"], payload=p.finished(value))
    for client in CLIENTS:
        send(p.EV_DETACH, client)
    node.check_invariants()
    return commands


@pytest.mark.parametrize("seed", range(20))
def test_the_same_events_lead_to_the_same_commands(seed):
    first, *others = (conversation(seed, clutter) for clutter in (0, 300, 77))
    assert sum(command["kind"] == p.CMD_VALUE for command in first) == N_TASKS
    for other in others:
        assert other == first


def test_another_program_leads_to_others():
    assert conversation(0, 0) != conversation(1, 0)
