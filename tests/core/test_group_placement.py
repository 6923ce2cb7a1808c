"""Placement groups over the nodes of a cluster: literal loads and bundles in, addresses out."""

from __future__ import annotations

import pytest

from raylite._core.scheduler.group_placement import place_group
from tests.core.placing import NODES, Load, amounts
from tests.core.protocol import GROUP_PACK, GROUP_SPREAD, GROUP_STRICT_PACK, GROUP_STRICT_SPREAD

A, B, C = NODES[:3]
ONE, TWO, THREE = (amounts(CPU=n) for n in (1, 2, 3))


def nodes(*cpus, taken=0):
    return b"".join(
        Load(address, amounts(CPU=n), amounts(CPU=taken)).pack() for address, n in zip(NODES, cpus, strict=False)
    )


@pytest.mark.parametrize(
    ("strategy", "cpus", "bundles", "placed"),
    [
        (GROUP_STRICT_PACK, (2, 4), [TWO, TWO], [B, B]),
        (GROUP_STRICT_PACK, (3, 3), [TWO, TWO], None),
        (GROUP_PACK, (2, 4), [TWO, TWO], [B, B]),
        (GROUP_PACK, (3, 3), [TWO, TWO], [A, B]),
        (GROUP_PACK, (3, 3, 4), [ONE, THREE, TWO], [B, A, B]),
        (GROUP_PACK, (3, 3), [TWO, TWO, TWO], None),
        (GROUP_PACK, (5, 4), [TWO, TWO, TWO, THREE], [A, B, B, A]),
        (GROUP_SPREAD, (4, 4), [ONE, ONE], [A, B]),
        (GROUP_SPREAD, (4, 4), [ONE, ONE, ONE, ONE], [A, B, A, B]),
        (GROUP_SPREAD, (4, 0), [ONE, ONE], [A, A]),
        (GROUP_SPREAD, (1, 3), [THREE, ONE], [B, A]),
        (GROUP_STRICT_SPREAD, (4, 4, 4), [ONE, ONE], [A, B]),
        (GROUP_STRICT_SPREAD, (4, 4), [ONE, ONE, ONE], None),
        (GROUP_STRICT_SPREAD, (3, 2, 1), [ONE, TWO, THREE], [C, B, A]),
        (GROUP_STRICT_SPREAD, (3, 2, 0), [ONE, TWO, THREE], None),
    ],
)
def test_where_bundles_go(strategy, cpus, bundles, placed):
    found = place_group(nodes(*cpus), strategy, bundles)
    assert found == placed


@pytest.mark.parametrize("strategy", range(4))
def test_what_is_taken_is_not_there(strategy):
    assert place_group(nodes(2, taken=1), strategy, [TWO]) is None
    assert place_group(nodes(2, taken=1), strategy, [TWO], of_total=True) == [A]


def test_all_resources_of_a_bundle_are_on_its_node():
    loads = Load(A, amounts(CPU=4)).pack() + Load(B, amounts(CPU=1, GPU=1)).pack()
    assert place_group(loads, GROUP_STRICT_SPREAD, [amounts(CPU=1, GPU=1), amounts(CPU=2)]) == [B, A]
    assert place_group(loads, GROUP_PACK, [amounts(CPU=2, GPU=1)]) is None
    assert place_group(loads, GROUP_PACK, [amounts(x=1)]) is None


def test_nothing_is_placed_nowhere():
    assert place_group(b"", GROUP_PACK, [ONE]) is None
    assert place_group(nodes(1), GROUP_PACK, []) is None


def test_a_node_that_owes_cpus_takes_what_asks_for_none():
    assert place_group(nodes(1, taken=2), GROUP_PACK, [amounts(CPU=0)]) == [A]


def test_a_thousand_bundles_are_spread_evenly():
    loads = b"".join(Load((1 << 24) + n, amounts(CPU=64)).pack() for n in range(100))
    placed = place_group(loads, GROUP_SPREAD, [ONE] * 1000)
    assert {placed.count(address) for address in placed} == {10}
    assert len(set(place_group(loads, GROUP_PACK, [ONE] * 1000))) == 16


@pytest.mark.timeout(20)
def test_a_group_that_hardly_fits_is_given_up_in_time():
    loads = b"".join(Load((1 << 24) + n, amounts(CPU=1)).pack() for n in range(50))
    bundles = [{"CPU": 3000 + 37 * n % 1000} for n in range(150)]
    assert place_group(loads, GROUP_PACK, bundles) is None


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="strategies are 0 to 3, got 4"):
        place_group(b"", 4, [])
    with pytest.raises(ValueError, match="malformed reports"):
        place_group(b"12345678", GROUP_PACK, [])
