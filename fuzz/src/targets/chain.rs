//! Integrity: notes, statements, blocks, checkpoints, proofs, keys, tiles and trees.

use sealtrail::base::hash::Hash;
use sealtrail::chain::authority::RecordRange;
use sealtrail::chain::block::Block;
use sealtrail::chain::checkpoint::{Checkpoint, SignedCheckpoint};
use sealtrail::chain::key::{SigningKey, VerifierKey};
use sealtrail::chain::log::{Log, LogError, TileReader};
use sealtrail::chain::merkle::{leaf_hash, node_hash, verify_consistency, verify_inclusion};
use sealtrail::chain::note::{Note, Signature};
use sealtrail::chain::policy::WitnessPolicy;
use sealtrail::chain::proof::{Proof, parse_record, parse_record_id, record_id, verify_block};
use sealtrail::chain::recipient::{recipient_key, recipient_text};
use sealtrail::chain::replay::State;
use sealtrail::chain::statement::Statement;
use sealtrail::chain::subtree::Subtrees;
use sealtrail::chain::tile::{TileId, index_path_with_width, parse_index_path};
use sealtrail::chain::tlog_proof::TlogProof;
use sealtrail::seal::reader_key::{Identity, Recipient, parse_identity_file};

use super::input::{byte, keys, number, part};

fn utf8(data: &[u8]) -> &str {
    std::str::from_utf8(data).unwrap_or_default()
}

/// C2SP signed notes, and their verification.
pub fn note(data: &[u8]) {
    let text = utf8(data);
    if let Ok(note) = Note::parse(text) {
        assert_eq!(note.to_string(), text);
        assert_eq!(note.byte_len(), text.len());
        let _ = note.verify(&keys().all);
        let _ = note.verify_cosignatures(&keys().all);
    }
    for line in text.lines().take(64) {
        if let Some(signature) = Signature::parse(line) {
            assert_eq!(signature.to_string(), line);
        }
    }
    assert_eq!(
        sealtrail::server::fuzzing::statement(text),
        text.len() <= 60_000 && Note::parse(text).is_ok()
    );
}

/// Statements of every kind.
pub fn statement(data: &[u8]) {
    let text = utf8(data);
    let Ok(statement) = Statement::parse(text) else { return };
    assert_eq!(statement.to_text(), text);
    assert_eq!(Statement::parse(text).as_ref(), Ok(&statement));
    let ranges = match &statement {
        Statement::Erasure(s) => s.records.clone(),
        _ => Vec::new(),
    };
    assert_eq!(RecordRange::normalise(ranges.clone()), ranges, "ranges are written normalised");
}

/// Blocks, and whether a chain can begin with them.
pub fn block(data: &[u8]) {
    let text = utf8(data);
    let Ok(block) = Block::parse(text) else { return };
    assert_eq!(block.to_string(), text);
    assert_eq!(block.hash(), Block::hash_text(text));
    let mut state = State::new(keys().ledger.name());
    if state.apply(&block).is_ok() {
        let bytes = state.encode();
        assert_eq!(State::decode(&bytes).ok(), Some(state));
    }
}

/// Checkpoints.
pub fn checkpoint(data: &[u8]) {
    let text = utf8(data);
    if let Ok(checkpoint) = Checkpoint::parse_text(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
    if let Ok(signed) = SignedCheckpoint::parse(text, &keys().ledger) {
        assert_eq!(signed.to_string(), text);
        assert_eq!(signed.checkpoint().to_text(), signed.note().text);
        let _ = signed.verify_cosignatures(&keys().all);
    }
}

/// C2SP tlog-proofs.
pub fn tlog_proof(data: &[u8]) {
    let text = utf8(data);
    let Ok(proof) = TlogProof::parse(text) else { return };
    assert_eq!(proof.to_string(), text);
}

/// Proof files, and checking them.
pub fn proof(data: &[u8]) {
    let Ok(proof) = Proof::parse(data) else { return };
    assert_eq!(Proof::parse(proof.to_json().as_bytes()).as_ref(), Ok(&proof));
    let keys = keys();
    let verified = proof.verify(&keys.ledger, None);
    if let Ok(v) = &verified {
        assert_eq!((v.record, &v.leaf_inputs), (proof.record, &proof.leaf_inputs));
    }
    for writer in &keys.all {
        let with_writer = proof.verify(&keys.ledger, Some(writer));
        assert!(with_writer.is_err() || verified.is_ok(), "asking for more lets less through");
    }
    let _ = verify_block(&proof.block, &proof.log_proof, &keys.ledger);
}

/// Witness policies: `length ‖ policy ‖ checkpoint`.
pub fn policy(mut data: &[u8]) {
    let policy = part(&mut data);
    let Ok(policy) = WitnessPolicy::parse(policy) else { return };
    if let Ok(signed) = SignedCheckpoint::parse(utf8(data), &keys().ledger) {
        let _ = policy.check(&signed, &keys().ledger);
    }
}

/// Keys as text: verifier keys, signing keys, recipients, identities and identity files.
pub fn key(data: &[u8]) {
    let text = utf8(data);
    if let Ok(key) = VerifierKey::parse(text) {
        assert_eq!(key.as_str(), text);
        let again = VerifierKey::new(key.name(), key.kind(), key.public_bytes()).unwrap();
        assert!(again == key && again.key_id() == key.key_id());
    }
    if let Ok(key) = SigningKey::parse(text) {
        assert_eq!(key.to_text().as_str(), text);
    }
    // Two readers of one form, in layers that may not know each other.
    let recipient = Recipient::parse(text).ok();
    assert_eq!(recipient.map(|r| *r.as_bytes()), recipient_key(text));
    if let Some(recipient) = recipient {
        assert_eq!(recipient.to_string(), text);
        assert_eq!(recipient_text(recipient.as_bytes()).as_deref(), Some(text));
    }
    if let Ok(identity) = Identity::parse(text) {
        assert_eq!(identity.to_text().as_str(), text);
    }
    if let Ok(identities) = parse_identity_file(text) {
        assert!(!identities.is_empty() && identities.len() <= text.lines().count());
    }
    let _ = sealtrail::cli::fuzzing::reader_argument(text);
}

/// Tiles by name, record names, and the hashes of a tile.
pub fn tile(mut data: &[u8]) {
    let path = utf8(part(&mut data));
    if let Some((id, width)) = TileId::parse(path) {
        assert_eq!(id.path_with_width(width), path);
    }
    if let Some((index, width)) = parse_index_path(path) {
        assert_eq!(index_path_with_width(index, width), path);
    }
    if let Some(record) = parse_record_id(path) {
        assert_eq!(record_id(record), path);
        assert_eq!(parse_record(path), Some(record));
    }
    let tree = Subtrees::of_bytes(&data[..data.len().min(256 * 32)]);
    let whole = data.len().min(256 * 32) / 32 * 32;
    assert_eq!(tree.to_bytes(), &data[..whole]);
}

/// The chain's state as the store keeps it.
pub fn state(data: &[u8]) {
    let Ok(state) = State::decode(data) else { return };
    assert_eq!(state.encode(), data);
    let _ = state.holds().count();
    assert!(sealtrail::ledger::fuzzing::open_state(data, "", &keys().ledger).is_none(), "unsigned");
}

/// Gives the same bytes for every tile.
struct OneTile<'a>(&'a [u8]);

impl TileReader for OneTile<'_> {
    fn full_tile(&self, _: TileId) -> Result<Option<Vec<u8>>, String> {
        Ok(Some(self.0.to_vec()))
    }
}

/// RFC 9162 §2.1.1, as it is written: the root over leaf hashes.
fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            node_hash(&root(left), &root(right))
        }
    }
}

/// RFC 9162 §2.1.3.1, as it is written: the path of leaf `m`.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = leaves.len().next_power_of_two() / 2;
    let (left, right) = leaves.split_at(k);
    let (mut inner, sibling) =
        if m < k { (path(m, left), root(right)) } else { (path(m - k, right), root(left)) };
    inner.push(sibling);
    inner
}

/// Inclusion and consistency proofs, and a log restored from hostile tiles.
pub fn merkle(mut data: &[u8]) {
    let (index, size) = (number(&mut data), number(&mut data));
    let hashes: Vec<Hash> = data.as_chunks::<32>().0.iter().take(80).map(|h| Hash(*h)).collect();
    let zero = Hash::ZERO;
    // Of a single leaf the root is the leaf.
    let single = size == 1 && hashes.is_empty();
    assert!(single || verify_inclusion(zero, index, size, &hashes, zero).is_err(), "zero bytes are no root");
    let _ = verify_consistency(index, zero, size, zero, &hashes);
    // A small tree made from the rest of the input.
    let leaves: Vec<Hash> = data.chunks(3).take(40).map(leaf_hash).collect();
    if let Some(n) = (!leaves.is_empty()).then(|| index as usize % leaves.len()) {
        let (root, good, length) = (root(&leaves), path(n, &leaves), leaves.len() as u64);
        assert_eq!(verify_inclusion(leaves[n], n as u64, length, &good, root), Ok(()));
        let other = index.wrapping_add(1);
        let wrong = other != n as u64 && leaves.get(other as usize) != Some(&leaves[n]);
        assert!(!wrong || verify_inclusion(leaves[n], other, length, &good, root).is_err());
        let mut longer = good.clone();
        longer.push(root);
        assert!(verify_inclusion(leaves[n], n as u64, length, &longer, root).is_err());
        let mut log = Log::new();
        leaves.iter().for_each(|l| drop(log.append(*l)));
        assert_eq!(log.root(), root);
    }
    let tail = &hashes[..hashes.len().min((size % 256) as usize)];
    // At most a few tiles are asked for, whatever the size says.
    let size = size % 0x1_0000_0000;
    let _: Result<Log, LogError> = Log::restore(size, tail, &OneTile(data)).inspect(|log| {
        let _ = log.inclusion_path(&OneTile(data), index % size.max(1), size);
        let _ = log.tile(&OneTile(data), TileId { level: byte(&mut &*data) % 8, index }, 7);
    });
}
