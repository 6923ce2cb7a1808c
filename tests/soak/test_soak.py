"""The short form of `make soak`: what is counted stays the same. Memory needs the long one."""

from __future__ import annotations

import pytest

from tests.soak.campaign import N_PARTS, Amounts, run


@pytest.mark.timeout(120)
def test_descriptors_threads_and_tables_stay_as_they_are(raylite_2cpu):
    held = list(run(Amounts(n_tasks=20_000, n_puts=1_000, n_calls=10_000)))
    assert len(held) == N_PARTS
    assert len({(each.n_descriptors, each.n_threads, each.n_workers) for each in held[1:]}) == 1
