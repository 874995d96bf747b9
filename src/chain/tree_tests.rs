//! The library builds what RFC 6962 says; its own verifier accepts what ours must refuse.
#![allow(clippy::unwrap_used)]

use super::super::merkle::{MerkleError, verify_inclusion};
use super::super::testing::{leaves, naive_path, naive_root};
use super::*;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Leaves of the tree.
    size: u64,
    /// Where the leaf is.
    index: u64,
    /// Where the forger says it is.
    claimed: u64,
    /// All hashes in hexadecimal.
    leaf: String,
    path: Vec<String>,
    root: String,
}

#[test]
fn roots_and_paths_are_those_of_rfc_6962() {
    for size in (0..=130).chain([255, 256, 257, 1000]) {
        let leaves = leaves(size);
        assert_eq!(root(&leaves), naive_root(&leaves), "size {size}");
        let step = if size > 40 { 7 } else { 1 };
        for index in (0..size).step_by(step).chain(size.checked_sub(1)) {
            let path = inclusion_path(&leaves, index).unwrap();
            assert_eq!(path, naive_path(index, &leaves), "index {index} of {size}");
            verify_inclusion(leaves[index], index as u64, size as u64, &path, root(&leaves)).unwrap();
        }
        assert_eq!(inclusion_path(&leaves, size), None);
        assert_eq!(inclusion_path(&leaves, usize::MAX), None);
    }
}

#[test]
fn indices_outside_the_tree_that_the_library_accepts_are_refused() {
    let file = include_str!("../../tests/vectors/chain/index_out_of_range.json");
    let vectors: Vectors = serde_json::from_str(file).unwrap();
    assert!(!vectors.about.is_empty() && vectors.cases.len() >= 20);
    for c in vectors.cases {
        let hash = |hex: &str| Hash::from_hex(hex).unwrap();
        let path: Vec<Hash> = c.path.iter().map(|h| hash(h)).collect();
        let (leaf, root) = (hash(&c.leaf), hash(&c.root));
        assert_eq!(verify_inclusion(leaf, c.index, c.size, &path, root), Ok(()));
        assert!(c.claimed >= c.size);
        let accepted = library_accepts(&leaf, c.claimed, c.size, &path, &root);
        assert!(accepted, "the library now refuses index {} of {}", c.claimed, c.size);
        let ours = verify_inclusion(leaf, c.claimed, c.size, &path, root);
        assert_eq!(ours, Err(MerkleError::Index { index: c.claimed, size: c.size }));
    }
}

/// The file above holds all such indices below twice the width of trees of up to 9 leaves.
#[test]
fn the_vectors_are_complete() {
    let file = include_str!("../../tests/vectors/chain/index_out_of_range.json");
    let vectors: Vectors = serde_json::from_str(file).unwrap();
    let listed: Vec<_> = vectors.cases.iter().map(|c| (c.size, c.index, c.claimed)).collect();
    let mut found = Vec::new();
    for size in 1..=9usize {
        let leaves = leaves(size);
        for (index, leaf) in leaves.iter().enumerate() {
            let (path, root) = (inclusion_path(&leaves, index).unwrap(), root(&leaves));
            for claimed in size..2 * size.next_power_of_two() {
                if library_accepts(leaf, claimed as u64, size as u64, &path, &root) {
                    found.push((size as u64, index as u64, claimed as u64));
                }
            }
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn one_tree_gives_all_paths() {
    for n in [1usize, 2, 3, 5, 8, 13] {
        let leaves: Vec<Hash> = (0..n).map(|i| leaf_hash(&[i as u8])).collect();
        let tree = BlockTree::new(&leaves);
        (0..n).for_each(|i| assert_eq!(tree.path(i), inclusion_path(&leaves, i), "{i} of {n}"));
        assert_eq!(tree.path(n), None);
    }
}

#[test]
fn nodes_give_the_same_root_and_paths() {
    for size in [0usize, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000, 4096, 4097] {
        let leaves = leaves(size);
        let nodes = nodes(&leaves);
        assert_eq!(nodes.len(), size.div_ceil(LEAVES_PER_NODE));
        let peaks = peaks(&nodes);
        assert_eq!(peaks.len(), nodes.len().div_ceil(NODES_PER_PEAK));
        let tree = BlockTree::new(&peaks);
        assert_eq!((tree.root(), root(&nodes)), (root(&leaves), root(&leaves)), "size {size}");
        let under = |index: usize| nodes.chunks(NODES_PER_PEAK).nth(index / LEAVES_PER_NODE / NODES_PER_PEAK);
        let whole = BlockTree::new(&leaves);
        for index in (0..size).step_by(1 + size / 50).chain(size.checked_sub(1)) {
            let group = BlockTree::new(leaves.chunks(LEAVES_PER_NODE).nth(index / LEAVES_PER_NODE).unwrap());
            assert_eq!(
                path_through(&group, &BlockTree::new(under(index).unwrap()), &tree, index),
                whole.path(index),
                "{index} of {size}"
            );
        }
        let last = BlockTree::new(leaves.chunks(LEAVES_PER_NODE).next_back().unwrap_or_default());
        assert_eq!(
            path_through(&last, &BlockTree::new(under(size).unwrap_or_default()), &tree, size),
            None,
            "{size}"
        );
    }
}
