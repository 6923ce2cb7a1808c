"""Each planted fault is found again by the seed that once found it; a release build has no planted faults."""

from __future__ import annotations

import pytest

from tests.quality.planting import SYMBOL, faults, modules, planted, words
from tests.quality.search import SEEDS_MOST, finds, found

IS_DEBUG = bool(words())
NEIGHBOURS = 40  # seeds after the one written down: what the core does by chance moves with every change of it
debug_only = pytest.mark.skipif(not IS_DEBUG, reason="faults are planted in the debug build only: make test-debug")


def test_each_fault_has_a_number_and_a_seed_that_found_it():
    numbers = list(faults().values())
    assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) >= 12
    assert list(found()) == list(faults()), "make quality"
    assert all(0 <= seed < SEEDS_MOST for seed in found().values())


@debug_only
@pytest.mark.parametrize("name", faults())
def test_a_planted_fault_is_found(name):
    first = found()[name]
    assert any(finds(seed, name) for seed in range(first, first + NEIGHBOURS)), "make quality"


@debug_only
def test_a_fault_is_on_only_where_it_is_planted():
    with planted("OFF_BY_ONE"):
        assert {word.value for word in words()} == {faults()["OFF_BY_ONE"]}
    assert {word.value for word in words()} == {0}


@pytest.mark.skipif(IS_DEBUG, reason="this is a debug build")
def test_a_release_build_has_nothing_of_them():
    assert len(modules()) > 50
    assert [path.name for path in modules() if SYMBOL.encode() in path.read_bytes()] == []
    with pytest.raises(RuntimeError, match="release build"), planted("OFF_BY_ONE"):
        pass
