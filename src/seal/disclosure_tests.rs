//! Field commitments against the format's words, and trees against RFC 6962.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde::Deserialize;

use super::super::test_vectors::{Hex, load};
use super::*;
use crate::base::secret::Secret;

fn merkle_root(leaves: &[Hash]) -> Hash {
    let mut hashes = leaves.to_vec();
    merkle_roots(&mut hashes, &mut [leaves.len() as u32], &mut Padded::new());
    assert!(hashes.len() <= 1);
    hashes.first().copied().unwrap_or_else(|| Hash::of(&[]))
}

fn salt_key() -> SaltKey {
    SaltKey(Secret::fill(|b| b.fill(4)))
}

fn field<'a>(pointer: &'a str, value: Scalar<'a>) -> Field<'a> {
    Field { pointer, value }
}

#[derive(Deserialize)]
struct Roots {
    leaves: Vec<Hex>,
    roots: Vec<Hex>,
}

#[test]
fn rfc_6962_roots() {
    let v: Roots = load(include_str!("../../tests/vectors/crypto/rfc6962-roots.json"));
    assert_eq!(v.roots.len(), 8);
    let leaves: Vec<Hash> = v.leaves.iter().map(|l| Hash::of(&[&[0], &l.0])).collect();
    for (n, root) in v.roots.iter().enumerate() {
        assert_eq!(merkle_root(&leaves[..=n]).0[..], root.0);
    }
    assert_eq!(merkle_root(&[]).hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

/// RFC 6962 §2.1 word for word: split at the largest power of two smaller than n.
fn recursive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            Hash::node(&recursive_root(&leaves[..k]), &recursive_root(&leaves[k..]))
        }
    }
}

#[test]
fn roots_and_paths_of_every_size_and_index() {
    for n in 0u32..70 {
        let leaves: Vec<Hash> = (0..n).map(|i| Hash::of(&[&i.to_be_bytes()])).collect();
        let root = recursive_root(&leaves);
        assert_eq!(merkle_root(&leaves), root);
        assert_eq!(field_path(&leaves, n as usize), None);
        for i in 0..n {
            let path = field_path(&leaves, i as usize).unwrap();
            let leaf = leaves[i as usize];
            assert_eq!(root_from_path(leaf, i, n, &path), Some(root), "{i} of {n}");
            // At every other index, one outside included, the same path leads elsewhere.
            for other in (0..n + 3).filter(|o| *o != i) {
                assert_ne!(root_from_path(leaf, other, n, &path), Some(root), "{i} as {other} of {n}");
            }
            assert_eq!(root_from_path(leaf, i, n, &[&path[..], &[leaf]].concat()), None);
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(root_from_path(leaf, i, n, shorter), None);
            }
        }
    }
    assert_eq!(root_from_path(Hash::ZERO, 0, 0, &[]), None);
}

#[test]
fn a_field_leaf_is_what_the_format_says() {
    let salt = *b"0123456789abcdef";
    let leaf = |f: &Field<'_>| field_leaf(&salt, f).unwrap();
    assert_eq!(
        leaf(&field("/a/0", Scalar::String("é".into()))),
        Hash::of(&[b"\x00stf10123456789abcdef\x00\x04/a/0s\xc3\xa9"])
    );
    assert_eq!(leaf(&field("", Scalar::EmptyObject)), Hash::of(&[b"\x00stf10123456789abcdef\x00\x00o"]));
    let kinds = [
        (Scalar::Number("1.0e3"), &b"n1.0e3"[..]),
        (Scalar::True, b"t"),
        (Scalar::False, b"f"),
        (Scalar::Null, b"z"),
        (Scalar::EmptyArray, b"a"),
    ];
    for (value, bytes) in kinds {
        assert_eq!(leaf(&field("/x", value)), Hash::of(&[b"\x00stf10123456789abcdef\x00\x02/x", bytes]));
    }
}

#[test]
fn a_disclosure_root_is_what_the_format_says() {
    let r = |fields, n: u8| SectionRoot { fields, root: Hash([n; 32]) };
    let mut want = b"sealtrail.org/disclosure/v1\n\x02\0\0\0\x03".to_vec();
    want.extend_from_slice(&[1; 32]);
    want.extend_from_slice(&[0, 0, 1, 0]);
    want.extend_from_slice(&[2; 32]);
    assert_eq!(disclosure_root(&[r(3, 1), r(256, 2)]), Hash::of(&[&want]));
}

proptest! {
    #[test]
    fn every_field_is_bound(values in proptest::collection::vec("[a-z]{0,8}", 1..40), at in any::<prop::sample::Index>()) {
        let pointers: Vec<String> = (0..values.len()).map(|i| format!("/f{i}")).collect();
        let make = |values: &[String]| {
            let fields: Vec<Field<'_>> = pointers
                .iter()
                .zip(values)
                .map(|(p, v)| field(p, Scalar::String(v.clone().into())))
                .collect();
            let root = section_root(&salt_key(), &fields, &mut Commitments::new()).unwrap();
            assert_eq!(merkle_root(&mut field_leaves(&salt_key(), &fields).unwrap()), root.root);
            root
        };
        let root = make(&values);
        prop_assert_eq!(root.fields as usize, values.len());
        let mut other = values.clone();
        other[at.index(values.len())].push('!');
        prop_assert_ne!(make(&other), root);
    }
}

#[test]
fn limits_are_kept() {
    let long = "/".repeat(MAX_POINTER_BYTES + 1);
    let mut space = Commitments::new();
    let root = |fields: &[Field<'_>], space: &mut Commitments| section_root(&salt_key(), fields, space);
    assert_eq!(root(&[field(&long, Scalar::Null)], &mut space), Err(DisclosureError::PointerTooLong));
    assert!(root(&[field(&long[1..], Scalar::Null)], &mut space).is_ok());
    let many = vec![field("/x", Scalar::Null); MAX_EVENT_FIELDS + 1];
    assert_eq!(root(&many, &mut space), Err(DisclosureError::TooManyFields));
    assert_eq!(field_leaves(&salt_key(), &many), Err(DisclosureError::TooManyFields));
    assert!(root(&many[1..], &mut space).is_ok());
}
