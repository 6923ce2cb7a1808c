"""Ids are hashes, the same on every machine and for ever: the function is MurmurHash3 x64 128, derivation is fixed."""

from __future__ import annotations

import pytest

from raylite._core.ids import child_task, content_hash

PUBLISHED = {  # h1, h2 with seed 0
    b"": (0, 0),
    b"hello": (0xCBD8A7B341BD9B02, 0x5B1E906A48AE1D19),
    b"hello, world": (0x342FAC623A5EBC8E, 0x4CDCBC079642414D),
    b"19 Jan 2038 at 3:14:07 AM": (0xB89E5988B737AFFC, 0x664FC2950231B2CB),
    b"The quick brown fox jumps over the lazy dog.": (0xCD99481F9EE902C9, 0x695DA1A38987B6E7),
}
ROOT = bytes(range(16))


@pytest.mark.parametrize("data", PUBLISHED, ids=repr)
def test_hash_of_published_vectors(data):
    h1, h2 = PUBLISHED[data]
    assert content_hash(data) == h1.to_bytes(8, "little") + h2.to_bytes(8, "little")


def test_hash_passes_the_authors_verification():
    """SMHasher's: hash every prefix of 0, 1, 2 ... 255 with a seed of its own, then all those hashes."""
    hashes = b"".join(content_hash(bytes(range(n)), 256 - n) for n in range(256))
    assert int.from_bytes(content_hash(hashes)[:4], "little") == 0x6384BA69


def test_a_child_is_the_hash_of_parent_index_and_salt():
    block = ROOT + (7).to_bytes(8, "little") + (3).to_bytes(8, "little")
    assert child_task(ROOT, 7, 3) == content_hash(block)
    assert child_task(ROOT, 7) == content_hash(ROOT + (7).to_bytes(8, "little") + bytes(8))


def test_derivation_never_changes():
    """Stored ids must mean the same to every later version."""
    assert child_task(ROOT, 0).hex() == "76d0d4777f38920d137e9c4094cc2009"
    assert child_task(child_task(ROOT, 0), 1).hex() == "322f4991fa8ed9c2db28371e36863340"


def test_children_differ_by_parent_index_and_salt():
    ids = {child_task(parent, index, salt) for parent in (ROOT, bytes(16)) for index in range(100) for salt in range(5)}
    assert len(ids) == 1000


@pytest.mark.parametrize("parent", [b"", bytes(15), bytes(17)])
def test_an_id_of_another_size_is_refused(parent):
    with pytest.raises(ValueError, match=f"16 bytes, got {len(parent)}"):
        child_task(parent, 0)


@pytest.mark.parametrize("index", [-1, 2**64])
def test_an_index_that_is_no_64_bit_number_is_refused(index):
    with pytest.raises(OverflowError):
        child_task(ROOT, index)
