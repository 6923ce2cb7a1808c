"""Key-value: a node's own table while it is alone; in a cluster the control store is asked, and all of its shards for lists."""

from __future__ import annotations

import struct

import pytest

from tests.core import protocol as p
from tests.core.neighbours import ENTRY_ANSWER, STORE_OK, STORE_TAKEN, STORE_UNKNOWN, A, Neighbour


def put(key: bytes, value: bytes, flags: int = 0) -> bytes:
    return struct.pack("<II", len(key), flags) + p.padded(key) + value


def answer(status: int, value: bytes = b"") -> bytes:
    return struct.pack("<Q", status) + value


def listed(*keys: bytes) -> bytes:
    return b"".join(struct.pack("<II", len(key), 0) + p.padded(key) for key in keys)


def ask(host, what: int, payload: bytes, request: int = 7):
    """The answer to the driver, None if there is none yet."""
    host.send(p.EV_QUERY, 1, object=p.object_id(bytes(16), what), request=request, payload=payload)
    return told(host, request)


def told(host, request: int = 7):
    answers = [each.payload for each in host.commands if each.kind == p.CMD_READY and each.request == request]
    return answers[0] if answers else None


def test_a_node_that_is_alone_keeps_the_table_itself(host):
    assert ask(host, p.QUERY_VALUE_GET, b"key") == answer(STORE_UNKNOWN)
    assert ask(host, p.QUERY_VALUE_PUT, put(b"key", b"one")) == answer(STORE_OK)
    assert ask(host, p.QUERY_VALUE_PUT, put(b"key", b"two")) == answer(STORE_TAKEN)
    assert ask(host, p.QUERY_VALUE_GET, b"key") == answer(STORE_OK, b"one")
    assert ask(host, p.QUERY_VALUE_PUT, put(b"key", b"", p.VALUE_OVERWRITE)) == answer(STORE_OK)
    assert ask(host, p.QUERY_VALUE_GET, b"key") == answer(STORE_OK)
    for key in (b"kez", b"ke", b"", b"key 12345"):
        ask(host, p.QUERY_VALUE_PUT, put(key, b"x"))
    assert ask(host, p.QUERY_VALUE_KEYS, b"key") == listed(b"key", b"key 12345")
    assert ask(host, p.QUERY_VALUE_KEYS, b"") == listed(b"", b"ke", b"key", b"key 12345", b"kez")
    assert ask(host, p.QUERY_VALUE_DELETE, b"key") == answer(STORE_OK)
    assert ask(host, p.QUERY_VALUE_DELETE, b"key") == answer(STORE_UNKNOWN)


@pytest.mark.parametrize("payload", [b"", b"\x05\0\0\0", struct.pack("<II", 9, 0) + b"12345678"])
def test_a_value_whose_key_is_not_there_is_refused(host, payload):
    assert ask(host, p.QUERY_VALUE_PUT, payload) is None
    assert [each.kind for each in host.commands] == [p.CMD_REJECT]


def test_in_a_cluster_the_store_is_asked_and_the_client_told_what_it_says():
    a = Neighbour(A)
    assert ask(a, p.QUERY_VALUE_PUT, put(b"key", b"value", p.VALUE_OVERWRITE)) is None
    [asked] = a.operations
    assert (asked["body"], asked["flags"]) == (put(b"key", b"value", p.VALUE_OVERWRITE), 1)
    assert asked["object"][:16] == p.content_hash(b"key")
    a.entry(ENTRY_ANSWER, token=asked["token"], flags=STORE_TAKEN)
    assert told(a) == answer(STORE_TAKEN)
    assert ask(a, p.QUERY_VALUE_GET, b"key", request=8) is None
    assert a.operations[-1]["object"][:16] == p.content_hash(b"key")
    a.entry(ENTRY_ANSWER, token=a.operations[-1]["token"], body=b"value")
    assert told(a, 8) == answer(STORE_OK, b"value")


@pytest.mark.parametrize("n_shards", [1, 3, 7])
def test_a_list_is_asked_of_every_shard_and_told_when_all_have_answered(n_shards):
    a = Neighbour(A, n_shards=n_shards)
    assert ask(a, p.QUERY_VALUE_KEYS, b"k") is None
    asked = a.operations
    shards = [(int.from_bytes(each["object"][4:8], "little") * n_shards) >> 32 for each in asked]
    assert shards == list(range(n_shards))
    for number, each in reversed(list(enumerate(asked))):
        assert told(a) is None
        a.entry(ENTRY_ANSWER, token=each["token"], body=listed(b"k%d" % number))
    assert told(a) == listed(*(b"k%d" % number for number in reversed(range(n_shards))))


def test_names_are_gathered_from_all_shards_and_nobody_is_told_who_has_gone():
    a = Neighbour(A, n_shards=2)
    assert ask(a, p.QUERY_NAMES, b"") is None
    first, second = a.operations
    a.entry(ENTRY_ANSWER, token=first["token"], body=b"space\nx\n")
    a.entry(ENTRY_ANSWER, token=second["token"], body=b"space\ny\n")
    assert told(a) == b"space\nx\nspace\ny\n"
    a.operations.clear()
    ask(a, p.QUERY_NAMES, b"", request=8)
    a.send(p.EV_DETACH, 1)
    for each in a.operations:
        if not each["body"]:
            a.entry(ENTRY_ANSWER, token=each["token"])
    assert told(a, 8) is None
    a.node.check_invariants()
