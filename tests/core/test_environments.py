"""The node remembers what an environment's hash stands for, and tells who asks."""

from __future__ import annotations

from tests.core import protocol as p
from tests.core.host import DRIVER


def asked(host, number, client=DRIVER):
    host.send(p.EV_FIND_ENVIRONMENT, client, request=5, aux=number)
    [answer] = host.commands
    assert (answer.kind, answer.client, answer.request) == (p.CMD_READY, client, 5)
    return answer.payload


def test_what_was_said_is_told_to_anybody(host):
    host.submit("a", environment=7)
    host.attach(2)
    assert host.send(p.EV_ENVIRONMENT, DRIVER, request=7, payload=b"it is seven.") == []
    assert host.send(p.EV_ENVIRONMENT, DRIVER, request=2**64 - 1, payload=b"the largest!") == []
    assert asked(host, 7) == asked(host, 7, client=2) == b"it is seven."
    assert asked(host, 2**64 - 1) == b"the largest!"
    assert host.node.environment(7) == b"it is seven."


def test_what_nobody_said_is_empty(host):
    assert asked(host, 8) == b""
    assert host.node.environment(8) == b""


def test_nothing_said_is_refused(host):
    assert host.send(p.EV_ENVIRONMENT, DRIVER, request=7) == [f"reject {p.EV_ENVIRONMENT} from 1"]


def test_who_said_it_may_go(host):
    host.attach(2, p.CLIENT_DRIVER)
    host.send(p.EV_ENVIRONMENT, 2, request=7, payload=b"it is seven.")
    host.detach(2)
    assert asked(host, 7) == b"it is seven."


def test_an_idle_worker_of_another_environment_makes_room(make_host):
    host = make_host({"CPU": 1}, worker_cap=1)
    host.submit("a", environment=7)
    host.attach(2)
    host.finish("a")
    assert host.submit("b", environment=8) == ["stop 2", "spawn 3 in 8", "run b on 3"]
