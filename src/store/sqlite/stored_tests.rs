//! Stored bodies come back byte for byte, whatever the records are.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::base::hash::Hash;

fn inputs(n: u8) -> LeafInputs {
    let hash = |m: u8| Hash([n ^ m; HASH_LEN]);
    LeafInputs { ciphertext_hash: hash(1), envelope_hash: hash(2), disclosure_root: hash(3) }
}

/// A record: sealed with its root, or another one; erased, or with other leaf inputs; any bytes.
fn record(n: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match kind {
        0 => out.extend([&[1], &inputs(n).disclosure_root.0[..], rest].concat()),
        1 => out.extend([&[1], &[n; HASH_LEN][..], rest].concat()),
        2 => Record::encode_erased(&inputs(n), &mut out),
        3 => Record::encode_erased(&inputs(n ^ 64), &mut out),
        _ => out.extend_from_slice(rest),
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_body_comes_back(
        header in proptest::collection::vec(any::<u8>(), 0..50),
        parts in proptest::collection::vec((0u8..5, proptest::collection::vec(any::<u8>(), 0..90)), 1..40),
        zeros in 0usize..20,
    ) {
        let records: Vec<Vec<u8>> = (0u8..).zip(&parts).map(|(n, (kind, rest))| record(n, *kind, rest)).collect();
        let leaves: Vec<u8> = (0u8..).take(records.len()).flat_map(|n| inputs(n).to_bytes()).collect();
        let body = Body::encode(&header, &records);
        let mut stored = pack(&body, &leaves).unwrap();
        let spared: usize = parts.iter().map(|(kind, _)| match kind { 0 => 32, 2 => 97, _ => 0 }).sum();
        prop_assert_eq!(stored.len() + spared, body.len());
        stored.resize(stored.len() + zeros, 0);
        prop_assert_eq!(&unpack(&stored, &leaves).unwrap(), &body);
        for size in [1, 5, 64, stored.len()] {
            let (mut out, mut unpacker) = (Vec::new(), Unpacker::new(&leaves));
            for chunk in stored.chunks(size) {
                unpacker.push(chunk, &mut out).unwrap();
            }
            prop_assert!(unpacker.is_whole());
            prop_assert_eq!(&out, &body);
        }
        // Nothing but zeros may follow.
        stored.push(1);
        prop_assert!(unpack(&stored, &leaves).is_err());
        for size in [1, 5, 64, stored.len()] {
            let (mut out, mut unpacker) = (Vec::new(), Unpacker::new(&leaves));
            prop_assert!(!stored.chunks(size).all(|chunk| unpacker.push(chunk, &mut out).is_ok()));
        }
        stored.pop();
        let front = &stored[..Body::front_len(header.len(), records.len())];
        for (n, record) in records.iter().enumerate() {
            let place = locate(front, n).unwrap();
            let mut out = Vec::new();
            let bytes = &stored[place.at..place.at + place.stored_len()];
            place.restore(bytes, &leaves[n * LEAF_INPUTS_LEN..][..LEAF_INPUTS_LEN], &mut out).unwrap();
            prop_assert_eq!(&out, record);
        }
        prop_assert!(locate(front, records.len()).is_err());
        // Cut short or with leaf inputs missing: an error, or what is there; never a panic.
        for cut in (0..stored.len()).step_by(7) {
            let _ = unpack(&stored[..cut], &leaves);
            let _ = locate(&stored[..cut], 0);
        }
        let _ = unpack(&stored, &leaves[..leaves.len() - 1]);
    }

    #[test]
    fn any_bytes_unpack_or_do_not(bytes in proptest::collection::vec(any::<u8>(), 0..300), count in 0u32..30) {
        let front = [&BODY_MAGIC[..], &2u32.to_be_bytes(), b"hh", &count.to_be_bytes(), &bytes].concat();
        for bytes in [&bytes, &front] {
            let unpacked = unpack(bytes, &[7; 10 * LEAF_INPUTS_LEN]);
            for size in [1, 40, 1000] {
                let (mut out, mut unpacker) = (Vec::new(), Unpacker::new(&[7; 10 * LEAF_INPUTS_LEN]));
                let whole = bytes.chunks(size).all(|c| unpacker.push(c, &mut out).is_ok()) && unpacker.is_whole();
                prop_assert_eq!(unpacked.as_ref().ok(), whole.then_some(&out));
            }
            let _ = locate(bytes, 3);
        }
    }
}

#[test]
fn what_is_kept_of_a_body_that_comes_in_chunks_is_bounded() {
    const CHUNK: usize = 4 * 1024 * 1024;
    // A header of 4 GiB, of which there are always more chunks.
    let front = [&BODY_MAGIC[..], &[0xff; 4]].concat();
    let (mut unpacker, mut out) = (Unpacker::new(&[]), Vec::new());
    unpacker.push(&front, &mut out).unwrap();
    let chunk = vec![0; CHUNK];
    let taken = (0..1000).take_while(|_| unpacker.push(&chunk, &mut out).is_ok()).count();
    assert_eq!(taken, (MAX_STORED_BYTES - front.len()) / CHUNK);
    assert!(unpacker.begun.len() <= MAX_STORED_BYTES && out.is_empty() && !unpacker.is_whole());
}
