"""Small values under names, kept by the cluster itself: configuration, addresses, progress.

In a cluster they are in the control store, and survive every node that wrote or read them; else they live as long as
the runtime. What is large, or made of objects, belongs into `raylite.put`. Every call asks the store and waits for it.
"""

from __future__ import annotations

from raylite import lifecycle

QUERY_VALUE_PUT, QUERY_VALUE_GET, QUERY_VALUE_DELETE, QUERY_VALUE_KEYS = range(20, 24)
VALUE_OVERWRITE = 1
STORE_OK, STORE_UNKNOWN, _, STORE_TAKEN = range(4)
VALUE_BYTES_MOST = 1 << 20


def put(key: str, value: bytes, *, overwrite: bool = True, namespace: str | None = None) -> bool:
    """Keep a value under a key.

    Args: key: text; value: bytes, at most a mebibyte; overwrite: False: only if there is none yet, which of many that
    try at once is true for one; namespace: of the key, by default this job's. Returns whether it is kept: False only
    without `overwrite`.
    Raises TypeError for anything else; ValueError for a value that is too large or a namespace with a line feed.
    """
    if not isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError(f"a value is bytes, not {value!r}")
    if not isinstance(overwrite, bool):
        raise TypeError(f"overwrite is True or False, not {overwrite!r}")
    data = bytes(value)
    if len(data) > VALUE_BYTES_MOST:
        raise ValueError(
            f"a value has at most {VALUE_BYTES_MOST} bytes here, not {len(data)}; raylite.put keeps what is larger"
        )
    name = _full(key, namespace)
    head = len(name).to_bytes(4, "little") + (VALUE_OVERWRITE * overwrite).to_bytes(4, "little")
    status, _ = _ask(QUERY_VALUE_PUT, head + name + bytes(-len(name) % 8) + data)
    return status == STORE_OK


def get(key: str, *, namespace: str | None = None) -> bytes | None:
    """The value under a key, None if there is none. Args, and what is raised: as for put()."""
    status, value = _ask(QUERY_VALUE_GET, _full(key, namespace))
    return value if status == STORE_OK else None


def exists(key: str, *, namespace: str | None = None) -> bool:
    """Whether there is a value under a key. Args, and what is raised: as for put()."""
    return get(key, namespace=namespace) is not None


def delete(key: str, *, namespace: str | None = None) -> bool:
    """Forget the value under a key. Returns whether there was one. Args, and what is raised: as for put()."""
    return _ask(QUERY_VALUE_DELETE, _full(key, namespace))[0] == STORE_OK


def keys(prefix: str = "", *, namespace: str | None = None) -> list[str]:
    """The keys that begin with this prefix, in order. Args, and what is raised: as for put().

    In a cluster the store's shards answer one after the other: what is written meanwhile is in it or not.
    """
    start = _full(prefix, namespace)
    answer = _client().query(QUERY_VALUE_KEYS, start)
    at, found = 0, []
    in_front = start.index(b"\n") + 1
    while at < len(answer):
        size = int.from_bytes(answer[at : at + 4], "little")
        found.append(answer[at + 8 + in_front : at + 8 + size].decode())
        at += 8 + size + -size % 8
    return sorted(found)


def _client():  # type: ignore[no-untyped-def]
    from raylite.api import client_or_init

    return client_or_init()


def _ask(what: int, payload: bytes) -> tuple[int, bytes]:
    """(status, value) as the store answers."""
    answer = _client().query(what, payload)
    status = int.from_bytes(answer[:8], "little")
    if status not in (STORE_OK, STORE_UNKNOWN, STORE_TAKEN):
        from raylite.exceptions import RaySystemError

        raise RaySystemError(f"the control store refused what it was asked, with {status}")
    return status, answer[8:]


def _full(key: str, namespace: str | None) -> bytes:
    """As the table has it: namespace, line feed, key."""
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {key!r}")
    if namespace is None:
        _client()
        namespace = lifecycle.namespace()
    elif not isinstance(namespace, str):
        raise TypeError(f"a namespace is a str or None, not {namespace!r}")
    if "\n" in namespace:
        raise ValueError(f"a namespace has no line feed: {namespace!r}")
    return f"{namespace}\n{key}".encode()
