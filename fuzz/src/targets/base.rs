//! Batches, records and grants as bytes, the codec below them, and small texts.

use sealtrail::api::bulk::{decode_batch, decode_bodies, encode_batch, put_body};
use sealtrail::auditor::fuzzing::bundle;
use sealtrail::base::batch::{Body, Header};
use sealtrail::base::clock::{Timestamp, is_date};
use sealtrail::base::grant::{GrantBody, GrantBuilder, GrantEntry, blank, front_len, heads, locate};
use sealtrail::base::hash::{Hash, from_base64, from_hex, to_base64, to_hex};
use sealtrail::base::record::{
    LeafInputs, NewSection, Outline, Record, SectionRoot, Tag, encode_sealed_head,
};
use sealtrail::base::wire::Reader;
use sealtrail::chain::batch::{PieceHasher, commit, leaf_inputs_of, records_root};
use sealtrail::chain::grant::slots_hash;
use sealtrail::event::field::Scalar;
use sealtrail::event::normalise::{normalise_into, normalise_text, plain_reference};
use sealtrail::event::view::{hides, printable, spreadsheet_cell};
use sealtrail::store::{body_tags, erase_from_body};

use super::input::byte;

/// Batch headers.
pub fn header(data: &[u8]) {
    let Ok(header) = Header::decode(data) else { return };
    assert_eq!(header.encode().as_deref(), Ok(data));
}

/// Batch bodies: every reader of the framing agrees with every other. The first byte says in what pieces it comes.
pub fn body(mut data: &[u8]) {
    let step = 1 + usize::from(byte(&mut data)) * 7;
    let whole = Body::decode(data);
    // From its beginning alone the rules are the same, as far as they can be known.
    let front =
        Body::decode_front(data).map(|f| f.map(|(h, lengths, len)| (h, lengths.collect::<Vec<u32>>(), len)));
    match (&whole, &front) {
        (Ok(body), Ok(Some((header, lengths, len)))) => {
            assert_eq!((body.header, body.count()), (*header, lengths.len()));
            assert_eq!(*len, Body::front_len(header.len(), lengths.len()));
            assert!(body.records().map(<[u8]>::len).eq(lengths.iter().map(|n| *n as usize)));
        }
        (Ok(_), other) => panic!("a whole body whose front is refused: {other:?}"),
        (Err(_), Ok(Some((_, lengths, len)))) => {
            // The front is right, so what is wrong is that bytes are missing or too many.
            let end = len + lengths.iter().map(|n| *n as usize).sum::<usize>();
            assert_ne!(end, data.len(), "{whole:?}");
        }
        (Err(_), _) => {}
    }
    if let Ok(body) = &whole {
        let records: Vec<&[u8]> = body.records().collect();
        assert_eq!(Body::encode(body.header, &records), data);
    }
    // Hashing a body in one go and in pieces.
    let committed = commit(data);
    let mut hasher = PieceHasher::default();
    hasher.start();
    let mut pending = Vec::new();
    let absorbed = data.chunks(step).try_for_each(|piece| {
        pending.extend_from_slice(piece);
        hasher.absorb(&mut pending)
    });
    let pieces = absorbed.and_then(|()| hasher.finish(&mut pending));
    match (&committed, &pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces),
        (Err(_), Err(_)) => {}
        _ => panic!("in one go {committed:?}, in pieces {pieces:?}"),
    }
    let Ok(committed) = committed else { return };
    assert_eq!(records_root(&committed.leaf_inputs), committed.records_root);
    assert_eq!(body_tags(data).as_ref(), Ok(&committed.tags));
    // What is left after erasing every other record still has the same leaves.
    let inputs: Vec<u8> = committed.leaf_inputs.iter().flat_map(LeafInputs::to_bytes).collect();
    let erased = erase_from_body(data, &inputs, |n| n % 2 == 0).unwrap();
    assert!(erased.body.len() <= data.len());
    assert_eq!(commit(&erased.body).unwrap().records_root, committed.records_root);
}

/// Records and leaf inputs.
pub fn record(data: &[u8]) {
    if let Ok(inputs) = LeafInputs::from_bytes(data) {
        assert_eq!(inputs.to_bytes(), data);
    }
    let (record, outline) = (Record::decode(data), Outline::decode(data));
    assert_eq!(record.is_ok(), leaf_inputs_of(data).is_ok());
    match (&record, &outline) {
        (Ok(Record::Erased(a)), Ok(Outline::Erased(b))) => {
            assert_eq!(a, b);
            let mut again = Vec::new();
            Record::encode_erased(a, &mut again);
            assert_eq!(again, data);
        }
        (
            Ok(Record::Sealed { disclosure_root, envelope, sections, tags, ciphertext }),
            Ok(Outline::Sealed { slots, .. }),
        ) => {
            let stated = |s: &sealtrail::base::record::SectionView<'_>| NewSection {
                ciphertext_len: s.ciphertext.len() as u32,
                commitment: s.commitment,
                root: s.root.unwrap_or(SectionRoot { fields: 0, root: Hash::ZERO }),
                slots: &[],
            };
            let new = sections.iter().map(|s| NewSection { slots: s.slots, ..stated(s) });
            let tags: &[Tag] = tags.as_chunks().0;
            let mut again = Vec::new();
            encode_sealed_head(disclosure_root, new.collect::<Vec<_>>(), tags, &mut again);
            again.extend_from_slice(ciphertext);
            assert_eq!(again, data);
            assert!(data[33..].starts_with(envelope));
            assert!(sections.iter().zip(slots).all(|(s, n)| s.slots.len() == usize::from(*n) * 32));
            assert_eq!(sections.iter().map(|s| s.ciphertext.len()).sum::<usize>(), ciphertext.len());
        }
        (Err(a), Err(b)) => assert_eq!(a, b),
        _ => panic!("{record:?} and {outline:?}"),
    }
}

/// The bodies of grants.
pub fn grant(data: &[u8]) {
    let body = GrantBody::decode(data);
    let front = &data[..data.len().min(front_len(data))];
    let heads = heads(front);
    let Ok(body) = body else {
        assert!(slots_hash(data).is_err());
        return;
    };
    assert_eq!(heads.as_deref().map(<[_]>::len), Ok(body.parts().count()));
    let mut builder = GrantBuilder::default();
    let mut at = 0u64;
    for part in body.parts() {
        builder.push(part.head, part.entries);
        let slots = part.head.sections != 0;
        for (n, entry) in part.entries().enumerate().take(32) {
            assert_eq!(part.entry(part.head.position + n as u32), Some(entry));
            let (head, position, place) = locate(front, at + n as u64).unwrap().expect("granted");
            assert_eq!((head.height, position), (part.head.height, part.head.position + n as u32));
            assert_eq!(GrantEntry::decode(&data[place..place + head.entry_len()]), Some(entry));
        }
        assert!(slots || locate(front, at).unwrap().is_none());
        at += u64::from(part.head.records);
    }
    assert_eq!(builder.finish(), data);
    assert_eq!((body.records(), locate(front, at)), (at, Ok(None)));
    // Taking slots out is seen, changes nothing else, and can be repeated.
    let before = slots_hash(data).unwrap();
    let mut blanked = data.to_vec();
    let first = blank(&mut blanked, 0, |r| r % 2 == 0).unwrap();
    assert!(first <= body.records());
    assert_eq!(blank(&mut blanked, 0, |r| r % 2 == 0), Ok(0));
    assert_eq!(slots_hash(&blanked), Ok(before));
}

/// Uploads, bulk downloads, entry bundles, and the codec itself.
pub fn wire(mut data: &[u8]) {
    let width = usize::from(byte(&mut data));
    if let Ok((statement, body)) = decode_batch(data) {
        assert_eq!(encode_batch(statement, body), data);
    }
    if let Ok(bodies) = decode_bodies(data) {
        let mut again = Vec::new();
        bodies.iter().for_each(|(height, body)| put_body(*height, body, &mut again));
        assert_eq!(again, data);
    }
    if let Ok(Some(texts)) = bundle(data, width) {
        assert_eq!(texts.len(), width);
        let bytes = |t: &String| [&(t.len() as u16).to_be_bytes(), t.as_bytes()].concat();
        assert_eq!(texts.iter().flat_map(bytes).collect::<Vec<u8>>(), data);
    }
    let mut reader = Reader::new(data, "input");
    loop {
        let before = reader.remaining().len();
        let took = match reader.u8() {
            Ok(0) => reader.u16().map(|_| 2),
            Ok(1) => reader.u32().map(|_| 4),
            Ok(2) => reader.u64().map(|_| 8),
            Ok(3) => reader.hash().map(|_| 32),
            Ok(4) => reader.bytes16().map(|b| 2 + b.len()),
            Ok(5) => reader.str16().map(|s| 2 + s.len()),
            Ok(n) => reader.take(usize::from(n)).map(<[u8]>::len),
            Err(_) => break assert_eq!(before, 0),
        };
        match took {
            Ok(took) => assert_eq!(reader.remaining().len() + took + 1, before),
            Err(_) => break,
        }
    }
}

/// Times, dates, hashes as text, and text on its way to a terminal or a spreadsheet.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let time = Timestamp::parse(text);
    if let Some(time) = time {
        assert_eq!(time.to_string(), text);
        assert_eq!(Timestamp::from_millis(time.millis()), Some(time));
        assert!(is_date(&time.date()) && time.plus_years(7) > time);
    }
    assert_eq!(is_date(text), Timestamp::parse(&format!("{text}T00:00:00.000Z")).is_some());
    if let Some(bytes) = from_base64(text) {
        assert_eq!(to_base64(&bytes), text);
        assert_eq!(Hash::from_base64(text).is_some(), bytes.len() == 32);
    }
    if let Some(bytes) = from_hex(text) {
        assert_eq!(to_hex(&bytes), text.to_ascii_lowercase());
    }
    let shown = printable(text);
    assert!(!shown.chars().any(hides));
    assert_eq!(printable(&shown), shown);
    let cell = spreadsheet_cell(text);
    assert_eq!(spreadsheet_cell(&cell), cell);
    // The same value gives the same tag, whether a person types it or an event holds it.
    let mut normal = String::new();
    let any = normalise_into(&Scalar::String(text.into()), &mut normal);
    assert_eq!(normalise_text(text), any.then_some(normal), "of {text:?}");
    assert!(text.ends_with(plain_reference(text)) || text.contains(plain_reference(text)));
}
