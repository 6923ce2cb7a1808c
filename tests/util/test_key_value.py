"""`raylite.util.key_value`: small values under names, on a node that is alone."""

from __future__ import annotations

import pytest

import raylite
from raylite.util import key_value as kv


@pytest.fixture(params=["embedded", "sim"])
def running(request, leaves_nothing):
    options = {"mode": "sim", "seed": 1} if request.param == "sim" else {"num_cpus": 2}
    with raylite.init(namespace="home", **options):
        yield


@raylite.remote
def change(key, value):
    before = kv.get(key)
    kv.put(key, value)
    return before


@raylite.remote
def claim(number):
    return kv.put("owner", b"%d" % number, overwrite=False)


def test_a_value_is_put_read_and_deleted_from_everywhere(running):
    assert kv.get("key") is None and not kv.exists("key") and not kv.delete("key")
    assert kv.put("key", b"one")
    assert raylite.get(change.remote("key", b"")) == b"one"
    assert kv.get("key") == b"" and kv.exists("key")
    assert kv.delete("key") and kv.get("key") is None


def test_without_overwrite_one_of_many_puts_it(running):
    won = raylite.get([claim.remote(number) for number in range(8)])
    assert sum(won) == 1
    assert kv.get("owner") == b"%d" % won.index(True)
    assert kv.put("owner", b"x") and kv.get("owner") == b"x"


def test_keys_are_listed_by_prefix_in_their_namespace(running):
    names = ["a", "a/1", "a/2", "b", "a\n", "ä", ""]
    for name in names:
        kv.put(name, name.encode())
    kv.put("a/3", b"", namespace="away")
    assert kv.keys() == sorted(names)
    assert kv.keys("a/") == ["a/1", "a/2"] and kv.keys("c") == []
    assert kv.keys(namespace="away") == ["a/3"] and kv.keys(namespace="hom") == []
    assert kv.get("a/3") is None and kv.get("a/3", namespace="away") == b""
    assert [kv.get(name) for name in names] == [name.encode() for name in names]


def test_a_value_of_a_mebibyte_fits_and_no_larger_one(running):
    assert kv.put("key", memoryview(b"x" * (1 << 20)))
    assert kv.get("key") == b"x" * (1 << 20)
    with pytest.raises(ValueError, match=r"at most 1048576 bytes here, not 1048577; raylite\.put"):
        kv.put("key", b"x" * ((1 << 20) + 1))


def test_what_makes_no_sense_is_refused(running):
    for call, message in [
        (lambda: kv.put(b"key", b""), "a key is a str"),
        (lambda: kv.put("key", "text"), "a value is bytes"),
        (lambda: kv.put("key", b"", overwrite=1), "overwrite is True or False"),
        (lambda: kv.get("key", namespace=b"x"), "a namespace is a str or None"),
    ]:
        with pytest.raises(TypeError, match=message):
            call()
    with pytest.raises(ValueError, match="a namespace has no line feed"):
        kv.get("key", namespace="a\nb")
