#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use proptest::prelude::*;

/// Batches of (records, sections): slot bytes are the record's number, so that every entry differs.
fn body(batches: &[(u32, u8)]) -> Vec<u8> {
    let mut builder = GrantBuilder::default();
    let mut n = 0u64;
    for (i, (records, sections)) in batches.iter().enumerate() {
        let sections_count = sections.count_ones() as usize;
        let head = GrantHead {
            height: 3 * i as u64 + 1,
            position: if i == 0 { 7 } else { 0 },
            records: *records,
            sections: *sections,
            enc: if *sections == 0 { vec![] } else { vec![9; KEY_LEN] },
            search: if *sections == 0 { vec![] } else { vec![8; sections_count * KEY_LEN + AEAD_TAG_LEN] },
        };
        let mut entries = Vec::new();
        for _ in 0..*records {
            if sections_count > 0 {
                n += 1;
                put_entry(&vec![Hash::of(&[&n.to_be_bytes()]).0; sections_count], &mut entries);
            }
        }
        builder.push(&head, &entries);
    }
    builder.finish()
}

#[test]
fn what_is_built_decodes_and_every_part_is_found() {
    let bytes = body(&[(2, 0b1), (3, 0), (4, 0b101)]);
    let decoded = GrantBody::decode(&bytes).unwrap();
    assert_eq!(decoded.records(), 9);
    let parts: Vec<_> = decoded.parts().collect();
    assert_eq!(parts.iter().map(|p| p.entries().count()).collect::<Vec<_>>(), [2, 0, 4]);
    assert_eq!(decoded.part(7), Some(parts[2]));
    assert_eq!(decoded.part(2), None);
    assert!(parts[0].entry(6).is_none() && parts[0].entry(7).is_some() && parts[0].entry(9).is_none());
    assert!(parts[1].entry(0).is_none());
    // The same by reading only the front and one entry.
    assert!(front_len(&bytes[..8]) >= bytes.len() - 2 * 33 - 4 * 65);
    for n in 0..9u64 {
        let found = locate(&bytes, n).unwrap();
        let Some((head, position, at)) = found else {
            assert!((2..5).contains(&n), "record {n}");
            continue;
        };
        let part = decoded.part(head.height).unwrap();
        let entry = GrantEntry::decode(&bytes[at..at + head.entry_len()]);
        assert_eq!(part.entry(position), entry, "record {n}");
        let slot = Hash::of(&[&(n + 1 - if n > 4 { 3 } else { 0 }).to_be_bytes()]).0;
        let slots = slot.repeat(head.sections.count_ones() as usize);
        assert_eq!(entry, Some(GrantEntry::Slots(&slots)), "record {n}");
    }
    assert_eq!(locate(&bytes, 9).unwrap(), None);
}

#[test]
fn what_breaks_a_rule_is_refused() {
    let good = body(&[(2, 0b1), (1, 0b11)]);
    GrantBody::decode(&good).unwrap();
    for end in 0..good.len() {
        assert!(GrantBody::decode(&good[..end]).is_err(), "cut at {end}");
    }
    assert!(GrantBody::decode(&[&good[..], b"x"].concat()).is_err());
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        GrantBody::decode(&bytes).unwrap_err().to_string()
    };
    assert!(changed(3, b'2').contains("STG1"));
    assert!(changed(7, 0).contains("number of batches"));
    let second = 8 + HEAD_LEN + KEY_LEN + 2 + KEY_LEN + AEAD_TAG_LEN;
    assert!(changed(second + 7, 1).contains("follow"), "the same block twice");
    assert!(changed(second + 11, 1).contains("follow"), "a later batch from its middle");
    assert!(changed(8 + 15, 0).contains("number or position"), "no records");
    assert!(changed(8 + 13, 1).contains("number or position"), "more than a batch has");
    assert!(changed(8 + HEAD_LEN + KEY_LEN + 1, 47).contains("search"));
    let entries = good.len() - 2 * 33 - 65;
    for kind in [0, 3] {
        assert!(changed(entries, kind).contains("entry"));
    }
    // A gone entry of two sections ends with zeros: one spelling.
    let mut gone = good.clone();
    blank(&mut gone, 0, |_| true).unwrap();
    *gone.last_mut().unwrap() = 1;
    assert!(GrantBody::decode(&gone).is_err());
    assert!(GrantBody::decode(&body(&[(1, 0)])).unwrap_err().to_string().contains("grants nothing"));
}

#[test]
fn blanking_takes_exactly_the_records_named() {
    let bytes = body(&[(2, 0b1), (3, 0), (4, 0b101)]);
    let mut blanked = bytes.clone();
    assert_eq!(blank(&mut blanked, 100, |r| r == 101 || r == 103 || r == 108).unwrap(), 2);
    let (before, after) = (GrantBody::decode(&bytes).unwrap(), GrantBody::decode(&blanked).unwrap());
    let mut record = 100;
    for (b, a) in before.parts().zip(after.parts()) {
        assert_eq!(b.head, a.head);
        for (b, a) in b.entries().zip(a.entries()) {
            let wanted =
                if record == 101 || record == 108 { !matches!(a, GrantEntry::Slots(_)) } else { a == b };
            assert!(wanted, "record {record}");
            record += 1;
        }
        record += if b.head.sections == 0 { 3 } else { 0 };
    }
    assert_eq!(blanked.len(), bytes.len());
    // Once gone, it stays as it is.
    let again = blanked.clone();
    assert_eq!(blank(&mut blanked, 100, |r| r == 101).unwrap(), 0);
    assert_eq!(blanked, again);
    assert!(blank(&mut bytes[1..].to_vec(), 0, |_| true).is_err());
}

#[test]
fn a_builder_says_when_it_is_full() {
    let mut builder = GrantBuilder::default();
    let head = GrantHead { records: 1, ..GrantHead::default() };
    assert!(builder.has_room(1 << 30), "the first always fits");
    for height in 0..MAX_GRANT_BATCHES as u64 {
        assert!(builder.has_room(15 << 20));
        builder.push(&GrantHead { height, ..head.clone() }, &[]);
        assert!(!builder.has_room(16 << 20));
    }
    assert!(!builder.has_room(0));
}

proptest! {
    #[test]
    fn no_bytes_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..300), n in any::<u64>()) {
        let bytes = [&GRANT_MAGIC[..], &bytes].concat();
        let _ = GrantBody::decode(&bytes);
        let _ = locate(&bytes, n);
        let _ = front_len(&bytes);
    }

    #[test]
    fn decoded_bodies_blank_and_locate_alike(
        batches in proptest::collection::vec((1u32..5, 0u8..=255), 1..5), gone in any::<u32>(),
    ) {
        let bytes = body(&batches);
        prop_assume!(batches.iter().any(|b| b.1 != 0));
        let mut blanked = bytes.clone();
        blank(&mut blanked, 0, |r| gone >> (r % 32) & 1 == 1).unwrap();
        let decoded = GrantBody::decode(&blanked).unwrap();
        for n in 0..decoded.records() {
            if let Some((head, position, at)) = locate(&blanked, n).unwrap() {
                let entry = GrantEntry::decode(&blanked[at..at + head.entry_len()]);
                prop_assert_eq!(entry, decoded.part(head.height).unwrap().entry(position));
                let is_gone = matches!(entry, Some(GrantEntry::Gone(_)));
                prop_assert_eq!(is_gone, gone >> (n % 32) & 1 == 1);
            }
        }
    }
}
