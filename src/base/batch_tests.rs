//! Codec properties of header, body and record.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::hash::Hash;
use super::super::record::{NewSection, Record, SectionRoot, encode_sealed_head};
use super::*;

fn header() -> impl Strategy<Value = Header> {
    let reader = proptest::collection::vec(any::<u8>(), 32);
    (proptest::collection::btree_set(reader, 1..5), 1usize..4, any::<u64>()).prop_map(
        |(keys, n, sequence)| {
            let all: Vec<u8> = (0..keys.len() as u8).collect();
            let sections: Vec<BatchSection> = (0..n)
                .map(|i| BatchSection {
                    name: format!("s{i}"),
                    readers: if i == 0 { all.clone() } else { all[..1 + i % all.len()].to_vec() },
                })
                .collect();
            let reads = |r: usize| sections.iter().filter(|s| s.readers.contains(&(r as u8))).count();
            let readers = keys
                .into_iter()
                .enumerate()
                .map(|(r, k)| BatchReader {
                    kem: KEM_X25519,
                    public_key: k,
                    enc: vec![7; 32],
                    search: vec![1; 32 * reads(r) + 16],
                })
                .collect();
            Header {
                ledger: "example.org/log".into(),
                writer: "example.org/w".into(),
                sequence,
                period: "2026-11".into(),
                readers,
                sections,
                tag_fields: vec!["actor".into()],
            }
        },
    )
}

fn record() -> impl Strategy<Value = Vec<u8>> {
    (1usize..4, 1usize..4, proptest::collection::btree_set(any::<[u8; 8]>(), 0..6), 16u32..80).prop_map(
        |(sections, readers, tags, len)| {
            let slots = vec![9u8; readers * 32];
            let root = SectionRoot { fields: 3, root: Hash::of(&[b"r"]) };
            let new: Vec<_> = (0..sections)
                .map(|i| NewSection {
                    ciphertext_len: len + i as u32,
                    commitment: [i as u8; 32],
                    root,
                    slots: &slots,
                })
                .collect();
            let tags: Vec<_> = tags.into_iter().collect();
            let mut out = Vec::new();
            encode_sealed_head(&Hash::of(&[b"d"]), new.iter().copied(), &tags, &mut out);
            for s in &new {
                out.extend(std::iter::repeat_n(0xab, s.ciphertext_len as usize));
            }
            out
        },
    )
}

proptest! {
    #[test]
    fn header_round_trips(h in header()) {
        let bytes = h.encode().unwrap();
        prop_assert_eq!(Header::decode(&bytes).unwrap(), h);
    }

    #[test]
    fn whatever_decodes_as_a_header_encodes_to_the_same_bytes(h in header(), at in any::<prop::sample::Index>(), x in 1u8..) {
        let mut bytes = h.encode().unwrap();
        let i = at.index(bytes.len());
        bytes[i] ^= x;
        if let Ok(other) = Header::decode(&bytes) {
            prop_assert_ne!(&other, &h);
            prop_assert_eq!(other.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn body_round_trips(records in proptest::collection::vec(record(), 1..6), h in header()) {
        let head = h.encode().unwrap();
        let bytes = Body::encode(&head, &records);
        let body = Body::decode(&bytes).unwrap();
        prop_assert_eq!(body.header, &head[..]);
        prop_assert_eq!(body.records().map(<[u8]>::to_vec).collect::<Vec<_>>(), records.clone());
        let front = Body::front_len(head.len(), records.len());
        // From its front alone the same is known, and nothing of less than that.
        let (header, lengths, len) = Body::decode_front(&bytes[..front]).unwrap().unwrap();
        prop_assert_eq!((header, len), (&head[..], front));
        prop_assert!(lengths.map(|n| n as usize).eq(records.iter().map(Vec::len)));
        for cut in [0, 7, 8, front - 4 * records.len(), front - 1] {
            prop_assert!(Body::decode_front(&bytes[..cut]).unwrap().is_none());
        }
        for cut in [0, 3, front - 1, bytes.len() - 1] {
            prop_assert_eq!(Body::decode(&bytes[..cut]), Err(WireError::Truncated { what: "batch body" }));
        }
    }

    #[test]
    fn record_decodes_and_no_byte_string_panics(bytes in record(), noise in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Record::decode(&bytes).is_ok());
        prop_assert!(Record::decode(&bytes[..bytes.len() - 1]).is_err());
        let mut longer = bytes.clone();
        longer.push(0);
        prop_assert!(Record::decode(&longer).is_err());
        let _ = Record::decode(&noise);
        let _ = Body::decode(&noise);
        let _ = Header::decode(&noise);
    }
}
