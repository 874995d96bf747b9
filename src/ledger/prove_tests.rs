//! Proofs from parts of a block's tree are those from the whole tree, whatever has become of the stored nodes.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::super::tests::Bench;
use super::*;
use crate::base::batch::Body;
use crate::base::clock::Timestamp;
use crate::chain::authority::{ErasureStatement, RecordRange};
use crate::chain::batch::record_leaf;
use crate::chain::tile::TileId;
use crate::ledger::recover::{StoredTiles, tile_key};
use crate::ledger::{Submission, View};
use crate::store::{Head, MemoryStore, NewBlock};

/// A ledger with one block of each of these sizes, from block 1 on.
fn ledger(sizes: &[usize]) -> Bench {
    let mut b = Bench::new();
    for n in sizes {
        let batch = b.batch(*n);
        b.submit(batch).unwrap();
    }
    b
}

/// The proof made from all leaves of a block.
fn whole(b: &Bench, view: &View, height: u64, position: usize) -> Proof {
    let info = b.store.block_info(height).unwrap().unwrap();
    let inputs = leaf_inputs(height, &b.store.leaf_inputs(height).unwrap().unwrap()).unwrap();
    let tree = BlockTree::new(&inputs.iter().map(record_leaf).collect::<Vec<_>>());
    let path = view.log.inclusion_path(&StoredTiles(&*b.store), height, view.log.size()).unwrap();
    let log_proof = TlogProof { extra: None, index: height, path, checkpoint: view.checkpoint.clone() };
    Proof {
        ledger: b.store.origin().to_owned(),
        record: info.first_record + position as u64,
        leaf_inputs: inputs[position],
        record_path: tree.path(position).unwrap(),
        block: String::from_utf8(b.store.block_text(height).unwrap().unwrap()).unwrap(),
        log_proof: log_proof.to_string(),
    }
}

/// Every proof of the blocks 1 to `blocks`, by one prover and by one each, is the whole tree's and verifies.
fn check(b: &Bench, blocks: u64) {
    let (view, key) = (b.ledger().view(), b.key().verifier());
    let mut prover = b.ledger().prover(&view);
    for height in 1..=blocks {
        let info = b.store.block_info(height).unwrap().unwrap();
        for position in (0..info.records as usize).step_by(1 + info.records as usize / 40) {
            let record = info.first_record + position as u64;
            let proof = prover.proof(record).unwrap();
            assert_eq!(proof, whole(b, &view, height, position), "{height} {position}");
            assert_eq!(proof, b.ledger().proof(record).unwrap());
            proof.verify(&key, None).unwrap();
        }
    }
}

fn set(b: &Bench, key: &str, value: &[u8]) {
    let head = b.store.head().unwrap().unwrap();
    b.store.append(head.size, &[], &[(key.to_owned(), value.to_vec())], &head).unwrap();
}

#[test]
fn proofs_are_those_of_the_whole_tree() {
    let sizes = [1, 31, 32, 33, 256, 257, 300, 1000];
    let b = ledger(&sizes);
    for (height, n) in (1..).zip(sizes) {
        let row = b.store.derived(&nodes_key(height)).unwrap();
        assert_eq!(row.map(|r| r.len()), (n > 256).then_some(n.div_ceil(32) * 32), "{n}");
    }
    check(&b, 8);
}

#[test]
fn nodes_that_are_wrong_or_missing_are_computed_again() {
    let mut b = ledger(&[300, 500]);
    let good = b.store.derived(&nodes_key(1)).unwrap().unwrap();
    let mut flipped = good.clone();
    flipped[70] ^= 1;
    let other = b.store.derived(&nodes_key(2)).unwrap().unwrap();
    let longer = [&good[..], &[0]].concat();
    let nodes: Vec<Hash> = good.as_chunks().0.iter().map(|h| Hash(*h)).collect();
    // The root itself is a level of the tree, too.
    let root = BlockTree::new(&nodes).root().0;
    let short = &good[..good.len() - 32];
    for bad in [&[][..], &good[..good.len() - 1], short, &longer, &flipped, &other, &root] {
        set(&b, &nodes_key(1), bad);
        // What the running ledger has at hand is forgotten.
        b.reopen().unwrap();
        check(&b, 2);
    }
}

#[test]
fn a_wrong_tile_of_the_log_gives_no_proof_until_it_is_mended() {
    let b = ledger(&[1; 260]);
    let key = tile_key(TileId { level: 0, index: 0 });
    let good = b.store.derived(&key).unwrap().unwrap();
    assert_eq!(good.len(), 256 * HASH_LEN);
    let mut flipped = good.clone();
    flipped[40 * HASH_LEN] ^= 1;
    set(&b, &key, &flipped);
    // The sibling of block 40, one beside it, and one far from it; its own hash is no part of its own proof.
    for record in [40, 38, 200] {
        let error = b.ledger().proof(record).unwrap_err().to_string();
        assert!(error.contains("tiles of the log do not lead"), "{record}: {error}");
        assert!(b.ledger().block_proof(record + 1).is_err());
    }
    set(&b, &key, &good);
    b.ledger().proof(39).unwrap().verify(&b.key().verifier(), None).unwrap();
    b.ledger().block_proof(40).unwrap();
}

#[test]
fn an_erasure_leaves_all_proofs_as_they_are() {
    let mut b = ledger(&[300, 70]);
    let before: Vec<Proof> = (0..370).map(|r| b.ledger().proof(r).unwrap()).collect();
    let authority = b.ledger().view().state.authority();
    let order = Statement::Erasure(ErasureStatement {
        ledger: b.store.origin().to_owned(),
        sequence: authority.next_sequence,
        previous: authority.previous,
        issued: Timestamp::now(),
        reason: "subject-request".into(),
        legal_basis: "gdpr-art-17".into(),
        records: vec![RecordRange { first: 5, last: 320 }],
    });
    b.ledger().submit(Submission::statement(order.sign(&b.officer).unwrap())).unwrap().wait().unwrap();
    b.reopen().unwrap();
    assert!(b.ledger().record(64).unwrap().is_erased() && !b.ledger().record(321).unwrap().is_erased());
    check(&b, 2);
    for (record, before) in (0..).zip(before) {
        let now = b.ledger().proof(record).unwrap();
        assert_eq!((now.leaf_inputs, now.record_path), (before.leaf_inputs, before.record_path), "{record}");
    }
}

#[test]
fn damaged_leaf_inputs_give_no_proof() {
    let b = ledger(&[300]);
    let view = b.ledger().view();
    let inputs = b.store.leaf_inputs(1).unwrap().unwrap();
    let copy = |inputs: Vec<u8>, nodes: bool| {
        let store = MemoryStore::new(b.store.origin());
        let blocks = [b.stored_block(0), NewBlock { leaf_inputs: inputs, ..b.stored_block(1) }];
        let row = (nodes_key(1), b.store.derived(&nodes_key(1)).unwrap().unwrap());
        let derived = if nodes { vec![row] } else { Vec::new() };
        store.append(0, &blocks, &derived, &b.store.head().unwrap().unwrap()).unwrap();
        store
    };
    let prove = |store: &MemoryStore, record| {
        Prover::new(store, &view.log, &view.checkpoint, 300, Arc::default())
            .proof(record)
            .map_err(|e| e.to_string())
    };
    assert_eq!(prove(&copy(inputs.clone(), true), 70).unwrap(), b.ledger().proof(70).unwrap());
    let mut changed = inputs.clone();
    changed[70 * 96 + 33] ^= 1;
    let with_nodes = copy(changed.clone(), true);
    assert!(prove(&with_nodes, 70).unwrap_err().contains("block 1: its leaf inputs"));
    assert!(prove(&with_nodes, 90).unwrap_err().contains("block 1: its leaf inputs"));
    // What is not touched can still be proved with the nodes, and without them nothing.
    assert_eq!(prove(&with_nodes, 128).unwrap(), b.ledger().proof(128).unwrap());
    assert!(prove(&copy(changed, false), 128).unwrap_err().contains("the root that its writer signed"));
}

/// The row of a block and its signed text both say which records it has. Taken by its row alone, a block would prove other ones.
#[test]
fn a_row_that_does_not_say_what_its_text_says_gives_no_proof() {
    let b = ledger(&[10, 300]);
    let view = b.ledger().view();
    // The ledger with so many records in the row of block 1, and these blocks' texts.
    let copy = |records: usize, texts: [u64; 3]| {
        let store = MemoryStore::new(b.store.origin());
        let row = |height: u64, first_record: u64, records: u32| {
            let mut leaf_inputs = b.store.leaf_inputs(height).unwrap().unwrap();
            leaf_inputs.truncate(records as usize * LEAF_INPUTS_LEN);
            let text = b.store.block_text(texts[height as usize]).unwrap().unwrap();
            let body = (records > 0).then(|| Body::encode(b"h", &vec![b"x"; records as usize]));
            NewBlock { first_record, records, text, leaf_inputs, body, ..b.stored_block(height) }
        };
        let (first, records) = (records as u64, records as u64 + 300);
        let blocks = [row(0, 0, 0), row(1, 0, first as u32), row(2, first, 300)];
        let nodes = (nodes_key(2), b.store.derived(&nodes_key(2)).unwrap().unwrap());
        let head = Head { size: 3, records, ..b.store.head().unwrap().unwrap() };
        store.append(0, &blocks, &[nodes], &head).unwrap();
        store
    };
    let prove = |store: &MemoryStore, record| {
        Prover::new(store, &view.log, &view.checkpoint, 309, Arc::default())
            .proof(record)
            .map_err(|e| e.to_string())
    };
    let honest = copy(10, [0, 1, 2]);
    for record in [3, 60] {
        assert_eq!(prove(&honest, record).unwrap(), b.ledger().proof(record).unwrap());
    }
    // Records that moved down by one; fewer records than were signed; another block's text.
    for (store, record) in [(copy(9, [0, 1, 2]), 60), (copy(9, [0, 1, 2]), 3), (copy(10, [0, 2, 1]), 3)] {
        let error = prove(&store, record).unwrap_err();
        assert!(error.contains("its row does not say what its text says"), "{record}: {error}");
    }
}
