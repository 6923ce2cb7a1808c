"""The lines that made objects and tasks, where a program wants them recorded."""

from __future__ import annotations

import raylite
from raylite.util.state import get_task, list_objects


@raylite.remote
def f():
    return raylite.put(1)


def sites():
    return {row.object_id: row.call_site for row in list_objects()}


def test_they_are_not_recorded_unless_wanted(raylite_2cpu):
    ref = raylite.put(1)
    assert sites()[ref.hex()] == "disabled"


def test_objects_have_the_line_that_put_or_submitted():
    with raylite.init(num_cpus=1, record_call_sites=True):
        mine, result = raylite.put(1), f.remote()
        inner = raylite.get(result)
        found = sites()
        assert found[mine.hex()].endswith("in test_objects_have_the_line_that_put_or_submitted")
        assert found[mine.hex()] == found[result.hex()]
        assert found[inner.hex()].endswith("in f")
        assert raylite.explain(mine).chain[0].call_site == found[mine.hex()]
        assert __file__ in str(raylite.explain(mine))
        get_task(result.task_id().hex())
