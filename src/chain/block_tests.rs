//! A block's text is its identity: every byte of it counts.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::super::testing::{Ledger, key, mutations, time};
use super::*;
use crate::base::limits::MAX_STATEMENT_BYTES;

#[test]
fn text_and_hash_of_real_blocks() {
    for block in Ledger::sample().blocks {
        let text = block.to_string();
        assert_eq!(Block::parse(&text).unwrap(), block);
        assert_eq!(block.hash(), Hash::of(&[&[0], text.as_bytes()]));
        assert!(text.starts_with(&format!("sealtrail.org/block/v1\nheight {}\nprevious ", block.height)));
    }
}

#[test]
fn every_changed_byte_changes_the_hash_or_is_refused() {
    let block = Ledger::sample().blocks.swap_remove(2);
    for changed in mutations(&block.to_string()) {
        if let Ok(other) = Block::parse(&changed) {
            assert_eq!(other.to_string(), changed);
            assert_ne!(other.hash(), block.hash());
        }
    }
}

#[test]
fn other_spellings_are_refused() {
    let good = Ledger::sample().blocks[1].to_string();
    assert!(Block::parse(&good).is_ok());
    for (from, to) in [
        ("block/v1", "block/v2"),
        ("height 1\n", "height 01\n"),
        ("height 1\n", "height +1\n"),
        ("height 1\n", "height 1 \n"),
        ("height 1\n", "height  1\n"),
        ("height 1\n", "height 18446744073709551616\n"),
        ("height 1\n", ""),
        ("height 1\n", "height 1\nheight 1\n"),
        ("first-record 0\n", "first-record 0\nextra 1\n"),
        ("first-record 0\n\n", "first-record 0\n"),
        ("first-record 0\n\n", "first-record 0\n\n\n"),
        (".000Z\nfirst", "Z\nfirst"),
    ] {
        assert!(good.contains(from), "{from}");
        let changed = good.replacen(from, to, 1);
        // An additional blank line moves into the statement's text, which is then no statement.
        let refused = Block::parse(&changed).is_err_or_no_statement();
        assert!(refused, "{to:?}");
    }
    assert!(Block::parse(&format!("{good}\n")).is_err());
    assert!(Block::parse(&good.replace('\n', "\r\n")).is_err());
    assert!(Block::parse("").is_err());
}

trait Refused {
    fn is_err_or_no_statement(&self) -> bool;
}

impl Refused for Result<Block, BlockError> {
    fn is_err_or_no_statement(&self) -> bool {
        self.as_ref().map_or(true, |b| super::super::statement::Statement::parse(&b.statement.text).is_err())
    }
}

#[test]
fn the_largest_statement_fits_a_block_and_a_larger_block_is_refused() {
    let block = |bytes: usize| Block {
        height: u64::MAX,
        previous: Hash::ZERO,
        committed: time(0),
        first_record: u64::MAX,
        statement: Note::sign(&format!("{}\n", "x".repeat(bytes)), &key("a")),
    };
    assert!(Block::parse(&block(MAX_STATEMENT_BYTES).to_string()).is_ok());
    let large = Block::parse(&block(MAX_BLOCK_BYTES).to_string());
    assert_eq!(large, Err(TextError::TooLarge { what: "block", max: MAX_BLOCK_BYTES }.into()));
}

proptest! {
    #[test]
    fn blocks_round_trip(height: u64, first_record: u64, previous: [u8; 32], ms in 0i64..253_402_300_799_999, text in "([ -~]{1,20}\n){1,4}") {
        let committed = Timestamp::from_millis(ms).unwrap();
        let statement = Note::sign(&text, &key("a.example"));
        let block = Block { height, previous: Hash(previous), committed, first_record, statement };
        prop_assert_eq!(Block::parse(&block.to_string()).unwrap(), block);
    }

    #[test]
    fn no_text_panics(text in "(sealtrail.org/block/v1\n)?(height [0-9]{1,22}\n)?([a-z-]{1,9} [ -~]{0,20}\n){0,6}\n?.{0,40}") {
        if let Ok(block) = Block::parse(&text) {
            prop_assert_eq!(block.to_string(), text);
        }
    }
}
