//! The tree inside one block. Roots that are signed come from [`super::batch`] and paths from [`BlockTree`]; [`root`] and
//! [`inclusion_path`] are the same by `rs_merkle`, which no other file names, with a hasher that makes it RFC 6962: what tests
//! and vectors compare ours with. Proofs are verified by [`super::merkle`], never by `rs_merkle`, whose `MerkleProof::verify` accepts
//! a valid proof under many indices outside the tree.

use rs_merkle::{Hasher, MerkleTree};

use super::merkle::{empty_root, leaf_hash, node_hash};
use super::subtree::Subtrees;
use crate::base::hash::Hash;

/// RFC 6962 §2.1 over SHA-256. An odd node is carried up unchanged, as RFC 6962 asks.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    /// Leaf hash. The trees here get leaves that are already hashed; this keeps the hasher whole.
    fn hash(data: &[u8]) -> [u8; 32] {
        leaf_hash(data).0
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        right.map_or(*left, |right| node_hash(&Hash(*left), &Hash(*right)).0)
    }
}

fn build(leaves: &[Hash]) -> MerkleTree<Rfc6962> {
    let mut hashes: Vec<[u8; 32]> = leaves.iter().map(|h| h.0).collect();
    let mut tree = MerkleTree::new();
    tree.append(&mut hashes);
    tree.commit();
    tree
}

/// RFC 6962 root over `leaves`, which are leaf hashes. No leaves: the empty tree's root.
pub fn root(leaves: &[Hash]) -> Hash {
    build(leaves).root().map_or_else(empty_root, Hash)
}

/// Inclusion path of leaf `index`, the leaf's sibling first (RFC 9162 §2.1.3.1); `None` outside the tree.
pub fn inclusion_path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    // Asked for an index outside, rs_merkle returns some hashes instead of an error.
    (index < leaves.len())
        .then(|| build(leaves).proof(&[index]).proof_hashes().iter().map(|h| Hash(*h)).collect())
}

/// Leaves under one of the [`nodes`] that are kept of a block's tree. With them a path takes hashing as many leaves instead of
/// all; more leaves make less to keep (32 bytes a node), slower proofs, and more of them whose leaves lie in two rows of a database.
pub const LEAVES_PER_NODE: usize = 32;

/// The roots over each [`LEAVES_PER_NODE`] leaves; the last one may have fewer. Their number being a power of two, RFC 6962 cuts no
/// such group in two: the [`root`] over these is the root over the leaves.
pub fn nodes(leaves: &[Hash]) -> Vec<Hash> {
    leaves.chunks(LEAVES_PER_NODE).map(|group| BlockTree::new(group).root()).collect()
}

/// [`nodes`] under one of the [`peaks`]. With them a path takes hashing as many nodes instead of all of a block's.
pub const NODES_PER_PEAK: usize = 8;

/// The roots over each [`NODES_PER_PEAK`] of a block's [`nodes`]. The root over these is the root over the leaves.
pub fn peaks(nodes: &[Hash]) -> Vec<Hash> {
    nodes.chunks(NODES_PER_PEAK).map(|group| BlockTree::new(group).root()).collect()
}

/// The [`inclusion_path`] of leaf `index` from three trees: over the leaves under its node, over the nodes under its peak, and over all
/// [`peaks`]. `None` outside the tree.
pub fn path_through(
    leaves: &BlockTree,
    nodes: &BlockTree,
    peaks: &BlockTree,
    index: usize,
) -> Option<Vec<Hash>> {
    let node = index / LEAVES_PER_NODE;
    let mut path = leaves.path(index % LEAVES_PER_NODE)?;
    path.extend(nodes.path(node % NODES_PER_PEAK)?);
    path.extend(peaks.path(node / NODES_PER_PEAK)?);
    Some(path)
}

/// The tree of one block, of a group of its leaves or of its [`nodes`], for many paths. Not the library's: that one takes several
/// times as long as the hashing it has to do, and most proofs build two trees.
pub struct BlockTree(Subtrees);

impl BlockTree {
    /// Builds the tree over `leaves`, which are leaf hashes.
    pub fn new(leaves: &[Hash]) -> BlockTree {
        BlockTree(Subtrees::new(leaves.iter().copied()))
    }

    /// Like [`root`].
    pub fn root(&self) -> Hash {
        self.0.whole()
    }

    /// Like [`inclusion_path`].
    pub fn path(&self, index: usize) -> Option<Vec<Hash>> {
        self.0.path(index)
    }
}

/// What the library's own verifier says; only to show in tests that it says yes too often.
#[cfg(test)]
fn library_accepts(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    let proof = rs_merkle::MerkleProof::<Rfc6962>::new(path.iter().map(|h| h.0).collect());
    proof.verify(root.0, &[index as usize], &[leaf.0], size as usize)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
