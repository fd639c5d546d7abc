from itertools import pairwise

import pytest

from rotator.model.merkle import EMPTY_ROOT, MerkleTree, is_extension

#: Leaves and roots of Certificate Transparency's reference implementation
#: (google/certificate-transparency, merkle_tree_test).
LEAVES = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: Consistency proofs of the same.
PROOFS = {
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


@pytest.mark.parametrize("size", range(9))
def test_the_root_is_that_of_the_reference_implementation(size: int) -> None:
    """Any auditor's tool comes to the same root."""
    assert MerkleTree(LEAVES).root(size).hex() == ROOTS[size]


@pytest.mark.parametrize(("old", "new"), PROOFS)
def test_a_proof_is_that_of_the_reference_implementation(old: int, new: int) -> None:
    """A standard witness accepts it."""
    tree = MerkleTree(LEAVES)

    assert [each.hex() for each in tree.proof(old, new)] == PROOFS[old, new]


def test_every_proof_of_the_reference_tree_holds() -> None:
    """Each size extends each smaller one, and the empty tree is the beginning of all."""
    tree = MerkleTree(LEAVES)

    for new in range(9):
        for old in range(new + 1):
            proof = tree.proof(old, new)
            assert is_extension(old, tree.root(old), new, tree.root(new), proof), (old, new)


@pytest.mark.parametrize(("old", "new"), [(2, 5), (6, 8), (4, 8), (1, 8)])
def test_what_was_altered_in_a_proof_is_found(old: int, new: int) -> None:
    """A proof holds as it is, or not at all."""
    tree = MerkleTree(LEAVES)
    roots, proof = (tree.root(old), tree.root(new)), tree.proof(old, new)
    altered = [
        *([*proof[:at], b"\x00" * 32, *proof[at + 1 :]] for at in range(len(proof))),
        *([*proof[:at], *proof[at + 1 :]] for at in range(len(proof))),
        [*proof, proof[-1]],
        [],
    ]

    assert not any(is_extension(old, roots[0], new, roots[1], each) for each in altered)
    assert not is_extension(old, roots[1], new, roots[1], proof)
    assert not is_extension(old, roots[0], new, roots[0], proof)


def test_a_tree_is_no_extension_of_a_larger_one() -> None:
    """A log never shrinks."""
    root = MerkleTree(LEAVES).root(4)

    assert not is_extension(5, root, 4, root, [])


def test_trees_of_one_size_are_the_same_or_not() -> None:
    """Nothing proves that a tree extends another one of its size."""
    tree = MerkleTree(LEAVES)

    assert is_extension(4, tree.root(4), 4, tree.root(4), [])
    assert not is_extension(4, tree.root(4), 4, tree.root(5), [])
    assert not is_extension(4, tree.root(4), 4, tree.root(4), [tree.root(1)])
    assert not is_extension(0, tree.root(1), 4, tree.root(4), [])
    assert not is_extension(0, EMPTY_ROOT, 4, tree.root(4), [tree.root(1)])


def test_a_tree_has_as_many_leaves_as_it_was_given() -> None:
    """Also none."""
    sizes = [MerkleTree(LEAVES[:size]).size for size in range(9)]

    assert sizes[0] == 0
    assert all(after - before == 1 for before, after in pairwise(sizes))
