//! The reference tree of RFC 6962's authors, then every proof of small trees and every change to it.
#![allow(clippy::unwrap_used)]

use super::super::testing::{leaves, naive_consistency, naive_path, naive_root};
use super::*;
use crate::base::hash::from_hex;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    about: String,
    /// Leaf data in hexadecimal.
    leaves: Vec<String>,
    /// Root of the tree of the first 0, 1, 2… leaves.
    roots: Vec<String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Inclusion {
    index: u64,
    size: u64,
    path: Vec<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Consistency {
    old: u64,
    new: u64,
    path: Vec<String>,
}

fn hashes(hex: &[String]) -> Vec<Hash> {
    hex.iter().map(|h| Hash::from_hex(h).unwrap()).collect()
}

#[test]
fn rfc_6962_reference_tree() {
    let file = include_str!("../../tests/vectors/chain/rfc6962_tree.json");
    let v: Vectors = serde_json::from_str(file).unwrap();
    assert!(!v.about.is_empty());
    let leaves: Vec<Hash> = v.leaves.iter().map(|d| leaf_hash(&from_hex(d).unwrap())).collect();
    let roots = hashes(&v.roots);
    assert_eq!((leaves.len(), roots.len()), (8, 9));
    for (size, root) in roots.iter().enumerate() {
        assert_eq!(naive_root(&leaves[..size]), *root);
        assert_eq!(super::super::tree::root(&leaves[..size]), *root);
    }
    assert!(v.inclusion.len() >= 4 && v.consistency.len() >= 3);
    for i in v.inclusion {
        let path = hashes(&i.path);
        let at = i.index as usize;
        verify_inclusion(leaves[at], i.index, i.size, &path, roots[i.size as usize]).unwrap();
        assert_eq!(naive_path(at, &leaves[..i.size as usize]), path);
    }
    for c in v.consistency {
        let path = hashes(&c.path);
        let (old, new) = (roots[c.old as usize], roots[c.new as usize]);
        verify_consistency(c.old, old, c.new, new, &path).unwrap();
        assert_eq!(naive_consistency(c.old as usize, &leaves[..c.new as usize], true), path);
    }
}

#[test]
fn inclusion_holds_for_one_leaf_one_index_one_size_only() {
    for size in 1..=20usize {
        let leaves = leaves(size);
        let root = naive_root(&leaves);
        for index in 0..size {
            let path = naive_path(index, &leaves);
            let check =
                |leaf, index, size, path: &[Hash], root| verify_inclusion(leaf, index, size, path, root);
            let (leaf, i, n) = (leaves[index], index as u64, size as u64);
            assert_eq!(check(leaf, i, n, &path, root), Ok(()));
            for other in (0..2 * n + 70).filter(|o| *o != i) {
                assert!(check(leaf, other, n, &path, root).is_err(), "index {other} for {i} of {n}");
            }
            for bit in 0..64 {
                assert!(check(leaf, i | 1 << bit, n, &path, root).is_err() || i >> bit & 1 == 1);
            }
            assert!(check(root, i, n, &path, root).is_err() || n == 1);
            assert!(check(leaf, i, n, &path, leaf).is_err() || n == 1);
            for at in 0..path.len() {
                let mut wrong = path.clone();
                wrong[at].0[31] ^= 1;
                assert_eq!(check(leaf, i, n, &wrong, root), Err(MerkleError::Root("tree's")));
                wrong.remove(at);
                assert!(check(leaf, i, n, &wrong, root).is_err());
            }
            let longer = [&path[..], &[Hash::ZERO]].concat();
            assert_eq!(check(leaf, i, n, &longer, root), Err(MerkleError::PathLength(longer.len())));
        }
    }
}

/// A tree of more leaves can share the path of a smaller one's leaf; the size must come from signed data.
/// What must never pass is a smaller or larger size whose path has another length.
#[test]
fn a_path_of_the_wrong_length_for_the_size_fails() {
    let leaves = leaves(13);
    let (root, path) = (naive_root(&leaves), naive_path(12, &leaves));
    for size in (0..64).filter(|s| *s != 13) {
        assert!(verify_inclusion(leaves[12], 12, size, &path, root).is_err(), "size {size}");
    }
    assert_eq!(verify_inclusion(leaves[0], 0, 0, &[], root), Err(MerkleError::Index { index: 0, size: 0 }));
    let long = vec![Hash::ZERO; MAX_PATH_HASHES + 1];
    assert!(verify_inclusion(leaves[0], u64::MAX - 1, u64::MAX, &long, root).is_err());
    assert!(verify_consistency(u64::MAX - 1, root, u64::MAX, root, &long).is_err());
}

#[test]
fn consistency_holds_for_these_two_trees_only() {
    let all = leaves(21);
    let roots: Vec<Hash> = (0..=21).map(|n| naive_root(&all[..n])).collect();
    for new in 0..=21usize {
        for old in 0..=new {
            let path = if old == 0 { vec![] } else { naive_consistency(old, &all[..new], true) };
            let (o, n) = (old as u64, new as u64);
            assert_eq!(verify_consistency(o, roots[old], n, roots[new], &path), Ok(()), "{old} {new}");
            // Any other root on either side fails, and so does any other pair of sizes.
            for other in 0..=21usize {
                if other != old {
                    assert!(verify_consistency(o, roots[other], n, roots[new], &path).is_err());
                    let sizes = verify_consistency(other as u64, roots[old], n, roots[new], &path);
                    assert!(sizes.is_err() || old == 0, "{other} for {old} of {new}");
                }
                if other != new && old > 0 {
                    assert!(verify_consistency(o, roots[old], n, roots[other], &path).is_err());
                }
            }
            for at in 0..path.len() {
                let mut wrong = path.clone();
                wrong[at].0[0] ^= 0x80;
                assert!(verify_consistency(o, roots[old], n, roots[new], &wrong).is_err());
                wrong.remove(at);
                assert!(verify_consistency(o, roots[old], n, roots[new], &wrong).is_err());
            }
            let longer = [&path[..], &[Hash::ZERO]].concat();
            assert!(verify_consistency(o, roots[old], n, roots[new], &longer).is_err());
        }
    }
    let shrunk = verify_consistency(5, roots[5], 4, roots[4], &[]);
    assert_eq!(shrunk, Err(MerkleError::Shrunk { old: 5, new: 4 }));
}
