"""Objects: put and get, read without a copy, freed with the last reference wherever that is."""

from __future__ import annotations

import copy
import gc
import pickle
import threading

import numpy as np
import pytest

import raylite

pytestmark = pytest.mark.usefixtures("raylite_2cpu_module")

LARGE = 1 << 20


# ---- put and get ----


def test_get_of_one_and_of_many():
    refs = [raylite.put(i) for i in range(5)]
    assert raylite.get(refs[0]) == 0
    assert raylite.get(refs) == [0, 1, 2, 3, 4]
    assert raylite.get(tuple(reversed(refs))) == [4, 3, 2, 1, 0]
    assert raylite.get([]) == []
    assert raylite.get([refs[1], refs[1], refs[0], refs[1]]) == [1, 1, 0, 1]


def test_get_of_many_thousands():
    refs = [raylite.put(i) for i in range(20_000)]
    assert raylite.get(refs) == list(range(20_000))


def test_get_gives_a_value_of_its_own_each_time():
    ref = raylite.put({"a": [1]})
    first = raylite.get(ref)
    first["a"].append(2)
    assert raylite.get(ref) == {"a": [1]}


def test_put_takes_the_value_as_it_is_now():
    value = [1]
    array = np.zeros(LARGE)
    refs = raylite.put(value), raylite.put(array)
    value.append(2)
    array[0] = 1
    assert raylite.get(refs[0]) == [1]
    assert raylite.get(refs[1])[0] == 0


def test_get_with_a_timeout(gate):
    @raylite.remote
    def wait():
        gate.pass_through()
        return 1

    slow, there = wait.remote(), raylite.put(0)
    for timeout in (0, 0.01):
        with pytest.raises(raylite.exceptions.GetTimeoutError, match="2 object"):
            raylite.get([there, slow], timeout=timeout)
        with pytest.raises(TimeoutError):
            raylite.get(slow, timeout=timeout)
    assert raylite.get(there, timeout=0) == 0
    gate.open()
    assert raylite.get([there, slow], timeout=60) == [0, 1]


def test_references_are_values_themselves():
    ref = raylite.put(1)
    other = raylite.put(1)
    assert ref == ref and ref != other and ref != 1 and ref is not None
    assert len({ref, other, ref, copy.copy(ref)}) == 2
    assert len(ref.binary()) == 20 and ref.hex() == ref.binary().hex() and ref.hex() in repr(ref)
    assert ref.job_id() == raylite.get_runtime_context().job_id
    assert not ref.is_nil()

    @raylite.remote(num_returns=2)
    def f():
        return raylite.get_runtime_context().get_task_id(), None

    first, second = f.remote()
    assert first.task_id() == second.task_id() != ref.task_id()
    assert first.task_id().hex() == raylite.get(first)
    assert isinstance(first, raylite.ObjectRef[int])


# ---- arrays and other buffers ----


def structured():
    return np.array([(1, 2.5, b"a"), (3, 4.5, b"b")] * 1000, dtype=[("i", "i4"), ("f", "f8"), ("s", "S3")])


ARRAYS = {
    "large": lambda: np.arange(LARGE, dtype=np.float32),
    "small": lambda: np.arange(3),
    "empty": lambda: np.zeros((0, 5)),
    "zero dimensions": lambda: np.array(5.5),
    "fortran": lambda: np.asfortranarray(np.arange(60_000).reshape(200, 300)),
    "every other": lambda: np.arange(200_000)[::2],
    "reversed": lambda: np.arange(100_000)[::-1],
    "column": lambda: np.arange(100_000).reshape(1000, 100)[:, 3],
    "transposed": lambda: np.arange(24_000).reshape(20, 30, 40).transpose(1, 2, 0),
    "broadcast": lambda: np.broadcast_to(np.arange(100), (100, 100)),
    "objects": lambda: np.array([{"a": 1}, None, [1, 2]], dtype=object),
    "structured": structured,
    "record": lambda: structured().view(np.recarray),
    "datetime": lambda: np.arange("2020-01-01", "2035-01-01", dtype="datetime64[D]"),
    "text": lambda: np.array(["a", "bcd"] * 3000),
    "bool": lambda: np.arange(10_000) % 3 == 0,
    "complex": lambda: np.arange(10_000) * 1j,
    "big endian": lambda: np.arange(10_000, dtype=">i4"),
    "masked": lambda: np.ma.masked_array(np.arange(10_000), np.arange(10_000) % 2 == 0),
    "memory map": None,
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind(kind, tmp_path, all_freed):
    if kind == "memory map":
        array = np.memmap(tmp_path / "map", dtype="i8", mode="w+", shape=(100, 100))
        array[:] = 7
    else:
        array = ARRAYS[kind]()

    @raylite.remote
    def look(a):
        return a, str(a.dtype), a.shape

    back = raylite.get(raylite.put(array))
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    again, dtype, shape = raylite.get(look.remote(array))
    assert (dtype, shape) == (str(array.dtype), array.shape)
    np.testing.assert_array_equal(again, array)
    del back, again
    all_freed()


def address(array):
    return array.__array_interface__["data"][0]


@pytest.mark.parametrize("size_bytes", [8192, 90 * 1024, 200 * 1024, 8 << 20])
@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_read_without_a_copy(size_bytes, order):
    array = np.ones((2, size_bytes // 16), order=order)
    ref = raylite.put(array)
    first, second = raylite.get(ref), raylite.get(ref)
    assert address(first) == address(second)
    assert np.shares_memory(first, second)
    assert not np.shares_memory(first, array)
    assert address(first) % 64 == 0 or size_bytes < 100 * 1024
    assert first.flags.f_contiguous == (order == "F")
    for read_only in (first, second, first[1:], first.T):
        assert not read_only.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            read_only[0] = 0
        with pytest.raises(ValueError):
            read_only.flags.writeable = True


def test_tasks_read_arguments_without_a_copy_and_read_only():
    @raylite.remote
    def look(a, b):
        return (
            np.shares_memory(a, b),
            a.flags.writeable,
            raylite.get(ref_of[0]).__array_interface__["data"][0] == address(a),
        )

    def address(array):
        return array.__array_interface__["data"][0]

    ref_of = [raylite.put(np.ones(LARGE))]
    assert raylite.get(look.remote(ref_of[0], ref_of[0])) == (True, False, True)


def test_results_are_read_without_a_copy():
    @raylite.remote
    def make():
        return {"a": np.ones(LARGE), "b": [np.zeros(LARGE), "text"]}

    ref = make.remote()
    first, second = raylite.get(ref), raylite.get(ref)
    assert np.shares_memory(first["a"], second["a"])
    assert np.shares_memory(first["b"][0], second["b"][0])
    assert not first["b"][0].flags.writeable


def test_a_put_stores_one_copy(node_sizes, all_freed):
    all_freed()
    ref = raylite.put(np.ones(LARGE))  # 8 MiB
    same = raylite.get(ref)
    again = raylite.put(same)
    assert 2 * 8 * LARGE <= node_sizes()["arena_bytes"] < 2.1 * 8 * LARGE
    del ref, same, again
    all_freed()


class Image:
    """Says itself what of it is a buffer."""

    def __init__(self, data, title):
        self.data, self.title = data, title

    def __reduce_ex__(self, protocol):
        if protocol >= 5:
            return Image, (pickle.PickleBuffer(self.data), self.title)
        return Image, (bytes(self.data), self.title)


def test_buffers_of_classes_of_ones_own():
    class Matrix:
        def __init__(self, rows):
            self.rows = rows
            self.weights = {"w": rows * 2}

    image = Image(bytes(range(256)) * 1000, "title")
    first, second = raylite.get([raylite.put(image)] * 2)
    assert first.title == "title" and bytes(first.data) == image.data
    ref = raylite.put(image)
    views = [memoryview(raylite.get(ref).data) for _ in range(2)]
    assert all(view.readonly for view in views)
    assert address(np.asarray(views[0])) == address(np.asarray(views[1]))

    ref = raylite.put(Matrix(np.ones(LARGE)))
    first, second = raylite.get(ref), raylite.get(ref)
    assert np.shares_memory(first.rows, second.rows)
    assert np.shares_memory(first.weights["w"], second.weights["w"])


def test_arrays_inside_containers():
    nested = {"list": [np.ones(LARGE), [np.zeros(5)]], "tuple": (np.ones(LARGE)[::2],), 3: {"deep": [[np.ones(LARGE)]]}}
    back = raylite.get(raylite.put(nested))
    np.testing.assert_array_equal(back["tuple"][0], 1)
    assert not back["list"][0].flags.writeable and not back[3]["deep"][0][0].flags.writeable
    assert not np.shares_memory(back["list"][0], back[3]["deep"][0][0])


def test_one_array_twice_in_a_value_is_stored_once(node_sizes, all_freed):
    array = np.ones(LARGE)
    ref = raylite.put([array, array])
    assert node_sizes()["arena_bytes"] < 1.5 * array.nbytes
    one, other = raylite.get(ref)
    assert one is other
    del ref, one, other
    all_freed()


@pytest.mark.parametrize("size_bytes", [0, 5, 50_000, 3 << 20])
def test_bytes_bytearrays_and_memoryviews(size_bytes):
    data = bytes(i % 251 for i in range(min(size_bytes, 5000))) * (size_bytes // 5000 or 1)
    for value in (data, bytearray(data)):
        back = raylite.get(raylite.put(value))
        assert type(back) is type(value)
        assert back == value
    assert bytes(raylite.get(raylite.put(memoryview(data)))) == data


def test_bytearrays_are_ones_own():
    ref = raylite.put(bytearray(200_000))
    first = raylite.get(ref)
    first[0] = 1
    assert raylite.get(ref)[0] == 0


def test_pandas_like_blocks_in_one_object():
    """Many buffers in one object: each is found again."""
    blocks = [np.full(1000 + i, i, dtype=np.int32) for i in range(300)]
    back = raylite.get(raylite.put(blocks))
    assert [len(b) for b in back] == [len(b) for b in blocks]
    assert all((b == i).all() for i, b in enumerate(back))


# ---- freed with the last reference ----


def test_an_object_is_freed_with_its_last_reference(n_objects, wait_until, all_freed):
    all_freed()
    refs = [raylite.put(i) for i in range(10)] + [raylite.put(np.ones(LARGE))]
    copies = [copy.copy(refs[0]), copy.deepcopy(refs[0]), refs[0]]
    assert all(c == refs[0] for c in copies)
    assert n_objects() == 11
    kept = refs[0]
    del refs
    wait_until(lambda: n_objects() == 1)
    assert raylite.get(kept) == 0
    del kept
    assert raylite.get(copies[1]) == 0
    del copies
    all_freed()


def test_results_that_nobody_waits_for_are_freed(tally, wait_until, all_freed):
    @raylite.remote
    def make(i):
        tally.add()
        return np.ones(LARGE), i

    for i in range(5):
        make.remote(i)
    wait_until(lambda: len(tally) == 5)
    all_freed()


def test_a_view_keeps_the_bytes(node_sizes, wait_until, all_freed):
    array = raylite.get(raylite.put(np.arange(LARGE)))
    part = array[5:10]
    del array
    gc.collect()
    others = [raylite.put(np.zeros(LARGE, np.int64)) for _ in range(4)]  # would take the room if it were free
    wait_until(lambda: node_sizes()["arena_bytes"] >= 5 * 8 * LARGE)
    assert part.tolist() == [5, 6, 7, 8, 9]
    del others, part
    all_freed()


def test_small_views_keep_their_bytes(all_freed):
    parts = [raylite.get(raylite.put(np.full(2000, i)))[:3] for i in range(100)]
    gc.collect()
    assert [p.tolist() for p in parts] == [[i] * 3 for i in range(100)]
    del parts
    all_freed()


def test_an_object_inside_another_lives_as_long(n_objects, wait_until, all_freed):
    all_freed()
    outer = raylite.put({"inner": [raylite.put("deep"), raylite.put([raylite.put(np.ones(LARGE))])]})
    gc.collect()
    wait_until(lambda: n_objects() == 4)
    first, second = raylite.get(outer)["inner"]
    assert raylite.get(first) == "deep"
    del outer, first
    wait_until(lambda: n_objects() == 2)
    innermost = raylite.get(second)[0]
    del second
    wait_until(lambda: n_objects() == 1)
    assert raylite.get(innermost)[-1] == 1
    del innermost
    all_freed()


def test_a_reference_that_a_task_returns(all_freed):
    def run():
        @raylite.remote
        def make(depth):
            return [raylite.put(np.full(LARGE, depth)), make.remote(depth - 1) if depth else None]

        array, inner = raylite.get(make.remote(3))
        array, inner = raylite.get(raylite.get(inner)[1])
        assert raylite.get(array)[0] == 1

    run()
    all_freed()


def test_a_reference_that_a_task_keeps(n_objects, wait_until, all_freed):
    """It counts as long as that worker holds it."""
    all_freed()

    @raylite.remote(num_cpus=2)
    def keep(held):
        import builtins

        builtins.kept_by_test = held

    @raylite.remote(num_cpus=2)
    def use():
        import builtins

        return raylite.get(builtins.kept_by_test[0])

    @raylite.remote(num_cpus=2)
    def drop():
        import builtins

        del builtins.kept_by_test

    raylite.get(keep.remote([raylite.put("kept")]))
    wait_until(lambda: n_objects() == 1)
    assert raylite.get(use.remote()) == "kept"
    raylite.get(drop.remote())
    all_freed()


def test_a_reference_on_its_way_is_not_lost(gate, all_freed):
    """The one who sent it lets go at once; the task gets it much later."""

    @raylite.remote
    def wait():
        gate.pass_through()

    @raylite.remote
    def read(box, _):
        return raylite.get(box[0])

    @raylite.remote
    def send(box, after):
        return [read.remote(box, after)]

    results = [read.remote([raylite.put(i)], blocker) for blocker in [wait.remote()] for i in range(20)]
    nested = [send.remote([raylite.put(i)], blocker) for blocker in [wait.remote()] for i in range(5)]
    gc.collect()
    gate.open()
    assert raylite.get(results) == list(range(20))
    assert [raylite.get(box[0]) for box in raylite.get(nested)] == list(range(5))
    del results, nested
    all_freed()


def test_references_in_closures_and_generators_are_let_go(all_freed):
    def make(ref):
        @raylite.remote
        def closure():
            return raylite.get(ref)

        @raylite.remote
        def items():
            yield [ref]
            yield ref

        return closure, items

    closure, items = make(raylite.put("held"))
    assert raylite.get(closure.remote()) == "held"
    stream = items.remote()
    assert raylite.get(raylite.get(next(stream))[0]) == "held"
    assert raylite.get(raylite.get(next(stream))) == "held"
    del closure, items, stream
    all_freed()


def test_arguments_are_let_go_when_the_task_is_done(n_objects, wait_until, all_freed):
    all_freed()

    @raylite.remote
    def length(array, box):
        return len(array) + len(raylite.get(box[0]))

    result = length.remote(raylite.put(np.ones(LARGE)), [raylite.put("text")])
    assert raylite.get(result) == LARGE + 4
    wait_until(lambda: n_objects() == 1)
    del result
    all_freed()


def test_a_failed_task_lets_its_arguments_go(n_objects, wait_until, all_freed):
    all_freed()

    @raylite.remote
    def fail(array, box):
        raise ValueError("no")

    results = [fail.remote(raylite.put(np.ones(LARGE)), [raylite.put("text")])]
    results.append(fail.remote(results[0], [raylite.put("text")]))
    for result in results:
        with pytest.raises(ValueError):
            raylite.get(result)
    del result
    wait_until(lambda: n_objects() == 2)
    del results
    all_freed()


def test_a_cycle_with_a_reference_in_it(n_objects, wait_until, all_freed):
    all_freed()

    class Node:
        pass

    def make():
        node = Node()
        node.ref = raylite.put("in a cycle")
        node.also = [node.ref, [raylite.put("another")], raylite.get(raylite.put(np.ones(LARGE)))]
        node.me = [node, node.also]
        node.also.append(node.me)

    gc.disable()
    try:
        for _ in range(10):
            make()
        assert n_objects() == 30
    finally:
        gc.enable()
    all_freed()


def test_a_reference_in_a_frame_that_failed(all_freed):
    """A traceback and what it shows are a circle, which only the collector breaks."""

    @raylite.remote
    def fail():
        raise ValueError

    def use(ref):
        try:
            raylite.get(ref)
        except ValueError as error:
            kept = error  # noqa: F841

    for _ in range(10):
        use(fail.remote())
    all_freed()


def test_references_dropped_by_other_threads(all_freed):
    refs = [raylite.put(i) for i in range(1000)]

    def drop():
        for _ in range(125):
            refs.pop()

    threads = [threading.Thread(target=drop) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refs
    all_freed()


def test_memory_is_used_again(node_sizes, all_freed):
    """Far more goes through the store than it holds at once."""
    for i in range(60):
        array = raylite.get(raylite.put(np.full(LARGE, i)))
        assert array[0] == array[-1] == i
        del array
    all_freed()
    assert node_sizes()["arena_bytes"] == 0
