import hashlib

from hypothesis import given
from hypothesis import strategies as st

from rotator.model.merkle import MerkleTree, is_extension

LEAVES = st.lists(st.binary(max_size=8), max_size=70)


def naive(leaves: list[bytes]) -> bytes:
    """Return the root as RFC 6962 defines it, without keeping anything."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    return hashlib.sha256(b"\x01" + naive(leaves[:middle]) + naive(leaves[middle:])).digest()


@given(leaves=LEAVES, data=st.data())
def test_each_root_is_the_definitions(leaves: list[bytes], data: st.DataObject) -> None:
    """The kept subtrees change nothing about the roots of all beginnings."""
    size = data.draw(st.integers(0, len(leaves)))

    assert MerkleTree(leaves).root(size) == naive(leaves[:size])


@given(leaves=LEAVES, data=st.data())
def test_a_tree_is_proved_to_extend_each_of_its_beginnings(
    leaves: list[bytes], data: st.DataObject
) -> None:
    """And the proof needs no more than the old tree's own subtrees, and the new leaves."""
    new = data.draw(st.integers(0, len(leaves)))
    old = data.draw(st.integers(0, new))
    tree = MerkleTree(leaves)
    proof = tree.proof(old, new)

    assert len(proof) <= 63
    assert is_extension(old, naive(leaves[:old]), new, naive(leaves[:new]), proof)


@given(leaves=st.lists(st.binary(max_size=8), min_size=2, max_size=70), data=st.data())
def test_no_proof_hides_a_leaf_that_was_changed(leaves: list[bytes], data: st.DataObject) -> None:
    """Whatever leaf of the old tree is another in the new one, the new one's proof fails."""
    new = data.draw(st.integers(2, len(leaves)))
    old = data.draw(st.integers(1, new))
    at = data.draw(st.integers(0, old - 1))
    forged = MerkleTree([*leaves[:at], leaves[at] + b"forged", *leaves[at + 1 :]])
    proof = forged.proof(old, new)

    assert not is_extension(old, naive(leaves[:old]), new, forged.root(new), proof)


@given(
    sizes=st.tuples(st.integers(0, 2**63), st.integers(0, 2**63)),
    roots=st.tuples(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32)),
    proof=st.lists(st.binary(min_size=32, max_size=32), max_size=64),
)
def test_a_senseless_proof_is_refused(
    sizes: tuple[int, int], roots: tuple[bytes, bytes], proof: list[bytes]
) -> None:
    """Sizes that no ledger has, and hashes that belong to nothing, end in a plain no."""
    old, new = sizes
    is_plain = old == new and roots[0] == roots[1] and not proof

    assert is_extension(old, roots[0], new, roots[1], proof) is is_plain
