//! What is read back from a database and the files beside it.

use sealtrail::auditor::fuzzing::{keep_events, kept_events};
use sealtrail::auditor::record::Content;
use sealtrail::base::batch::Body;
use sealtrail::ledger::fuzzing::{guard_slots, open_state};
use sealtrail::store::fuzzing::{
    body_record, index_row as read_row, index_row_without_odd, index_rows, pack, stored_record, unpack,
    unpack_in_chunks,
};

use super::input::{byte, keys, number, part};

/// Bodies as they are stored: `step ‖ length ‖ leaf inputs ‖ body`.
pub fn stored(mut data: &[u8]) {
    let step = 1 + usize::from(byte(&mut data)) * 5;
    let inputs = part(&mut data);
    let whole = unpack(data, inputs);
    match (&whole, unpack_in_chunks(data, inputs, step)) {
        (Ok(body), Ok(in_chunks)) => assert_eq!(Some(body), in_chunks.as_ref()),
        (Ok(_), Err(e)) => panic!("whole, but not in chunks: {e}"),
        (Err(_), Ok(Some(_))) => panic!("in chunks, but not whole: {whole:?}"),
        (Err(_), Ok(None) | Err(_)) => {}
    }
    for n in 0..4 {
        if let (Ok(body), Some(record)) = (&whole, stored_record(data, inputs, n)) {
            assert_eq!(body_record(body, n), Some(&*record));
        }
    }
    // The other way: what is a body comes back.
    let Ok(body) = Body::decode(data) else { return };
    let Ok(packed) = pack(data, inputs) else { return };
    assert!(packed.len() <= data.len());
    assert_eq!(unpack(&packed, inputs).as_deref(), Ok(data));
    assert_eq!(unpack_in_chunks(&packed, inputs, step).map(|b| b.as_deref() == Some(data)), Ok(true));
    for (n, record) in body.records().enumerate().take(8) {
        assert_eq!(stored_record(&packed, inputs, n).as_deref(), Some(record));
    }
}

/// Length of a row of the look-up index.
const ROW_BYTES: usize = 16 * 1021 + 8;

/// Rows of the look-up index: `flags ‖ first ‖ number of records ‖ row`.
pub fn index_row(mut data: &[u8]) {
    let flags = byte(&mut data);
    let (first, count) = (number(&mut data) >> 24, number(&mut data) >> 24);
    let (grouped, records) = (flags & 1 == 1, first..first + count.max(1));
    let mut row = data[..data.len().min(ROW_BYTES)].to_vec();
    if flags & 2 == 0 {
        row.resize(ROW_BYTES, 0);
    }
    let _ = read_row(grouped, records.clone(), &mut row.clone(), false);
    if let Some(entries) = read_row(grouped, records.clone(), &mut row, true) {
        let _ = index_row_without_odd(grouped, records.clone(), &row);
        assert!(entries.len() <= ROW_BYTES);
    }
    // Entries made from the input come back, and those erased do not.
    let mut entries: Vec<u128> = data
        .as_chunks::<6>()
        .0
        .iter()
        .map(|c| {
            let key = u64::from(u16::from_be_bytes([c[0], c[1]])) << (c[2] % 48);
            u128::from(key) << 64
                | u128::from(first + u64::from(u16::from_be_bytes([c[3], c[4]])) % count.max(1))
        })
        .collect();
    entries.sort_unstable();
    entries.dedup();
    let mut found = Vec::new();
    let mut even = Vec::new();
    for mut row in index_rows(grouped, records.clone(), &entries) {
        found.extend(read_row(grouped, records.clone(), &mut row, false).expect("a row just made"));
        match index_row_without_odd(grouped, records.clone(), &row) {
            Some((mut rest, left)) => {
                let rest = read_row(grouped, records.clone(), &mut rest, false).expect("a row just made");
                assert_eq!(left, !rest.is_empty());
                even.extend(rest);
            }
            None => {
                even.extend(read_row(grouped, records.clone(), &mut row, false).expect("a row just made"))
            }
        }
    }
    assert_eq!(found, entries);
    assert_eq!(even, entries.into_iter().filter(|e| e & 1 == 0).collect::<Vec<_>>());
}

/// The last-signed file, and the signed state: `length ‖ checkpoint`, rest.
pub fn last_signed(mut data: &[u8]) {
    let key = &keys().ledger;
    assert!(guard_slots(data, key).iter().all(|c| c.origin == key.name()));
    let checkpoint = part(&mut data);
    let _ = open_state(data, std::str::from_utf8(checkpoint).unwrap_or_default(), key);
}

/// What a vault keeps of opened events.
pub fn kept(data: &[u8]) {
    let Ok(records) = kept_events(data) else { return };
    let again = keep_events(&records);
    let long = |c: &Content| matches!(c, Content::Unreadable { why } if why.chars().count() > 1000);
    assert!(again == data || records.iter().any(long));
}
