//! What can be wrong with a statement or block in its place; each message says what to do or what is missing.

use super::text::TextError;
use crate::base::clock::Timestamp;
use crate::base::hash::Hash;
use crate::base::limits::{MAX_HOLD_RANGES, MAX_HOLDS, MAX_LEDGER_KEYS};
use crate::base::wire::WireError;

/// Why a statement or block is refused. `chain` is a writer's name or `authority`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The text is no statement.
    #[error(transparent)]
    Statement(#[from] TextError),
    /// The statement is for another ledger.
    #[error("the statement is for the ledger {found}, this is {expected}")]
    WrongLedger {
        /// This ledger's origin.
        expected: String,
        /// The statement's.
        found: String,
    },
    /// The first block must carry a roster.
    #[error("there is no roster yet; the first block must carry one, signed by one of its own admins")]
    NoRoster,
    /// Nobody of that name has the role.
    #[error("{signer} is no {role} of the roster in force")]
    UnknownSigner {
        /// Name on the signature line.
        signer: String,
        /// `writer`, `officer` or `admin or officer`.
        role: &'static str,
    },
    /// A roster or grant that somebody else than an admin signed.
    #[error("a roster or grant must be signed by an admin of the roster in force; {signer} is none")]
    NotByAdmin {
        /// Name on the signature line.
        signer: String,
    },
    /// A roster that names a ledger key which was given up before.
    #[error(
        "the roster names the ledger key {given_up}, which was given up before and may be a thief's by now: make a new one"
    )]
    LedgerKey {
        /// The key.
        given_up: String,
    },
    /// A roster that changes the ledger's key once more than can be.
    #[error("a ledger has at most {MAX_LEDGER_KEYS} keys in its time")]
    TooManyLedgerKeys,
    /// The name is known, the key ID is another key's.
    #[error("{signer} signed with another key than the roster in force has for that name")]
    OtherKey {
        /// Name on the signature line.
        signer: String,
    },
    /// The signature is wrong.
    #[error("the signature of {signer} does not verify: the statement was changed after signing")]
    BadSignature {
        /// Name of the key.
        signer: String,
    },
    /// A writer's statement has exactly one signature line.
    #[error("a writer's statement carries exactly one signature, this has {found}")]
    SignatureCount {
        /// How many there are.
        found: usize,
    },
    /// One key signed twice.
    #[error("{signer} is on two signature lines")]
    RepeatedSigner {
        /// Name of the key.
        signer: String,
    },
    /// Not enough officers ordered an erasure.
    #[error("an erasure needs the signatures of {needed} officers, this has {found}")]
    TooFewOfficers {
        /// From the roster, at least 1.
        needed: u64,
        /// How many signed.
        found: u64,
    },
    /// A statement between is missing.
    #[error("{chain}: statement {found} arrived, {expected} is next; send what is missing first")]
    SequenceGap {
        /// Whose sequence.
        chain: String,
        /// The next number.
        expected: u64,
        /// The statement's number.
        found: u64,
    },
    /// The last accepted statement once more: harmless, and answered with the same receipt.
    #[error("{chain}: statement {sequence} is already in the ledger")]
    Duplicate {
        /// Whose sequence.
        chain: String,
        /// Its number.
        sequence: u64,
    },
    /// A number that was used before the last one: a replay, or a fork that went on.
    #[error("{chain}: statement {found} was accepted long ago, {expected} is next")]
    OldSequence {
        /// Whose sequence.
        chain: String,
        /// The next number.
        expected: u64,
        /// The statement's number.
        found: u64,
    },
    /// Two different statements with the last accepted number.
    #[error(
        "{chain}: another statement {sequence} is already in the ledger; the signer's state was lost or copied"
    )]
    Fork {
        /// Whose sequence.
        chain: String,
        /// The number both have.
        sequence: u64,
    },
    /// The right number after the wrong predecessor.
    #[error(
        "{chain}: statement {sequence} follows a predecessor ({found:?}) that is not in the ledger ({expected:?})"
    )]
    WrongPrevious {
        /// Whose sequence.
        chain: String,
        /// Its number.
        sequence: u64,
        /// Hash of the last accepted statement.
        expected: Hash,
        /// What the statement says.
        found: Hash,
    },
    /// A grant to somebody who could not fetch what it gives.
    #[error(
        "a grant must be to a reader of the roster in force, and {name} with {recipient} is none; add it first: reader add {name} {recipient}"
    )]
    GranteeNotReader {
        /// Name in the grant.
        name: String,
        /// Recipient in the grant.
        recipient: String,
    },
    /// A grant, erasure or hold names records that do not exist.
    #[error("record {last} is beyond the ledger, which has {records} records")]
    BeyondLedger {
        /// The highest record named.
        last: u64,
        /// How many there are.
        records: u64,
    },
    /// An erasure touches a record under a hold.
    #[error(
        "record {record} is under the hold {hold}: nothing of it may be erased before that is released (`hold release {hold}`)"
    )]
    Held {
        /// The first such record.
        record: u64,
        /// The hold's name.
        hold: String,
    },
    /// An erasure for `retention-expired` touches a record that must still be kept.
    #[error(
        "record {record} must be kept until {retain_until}, and it is {committed}: before that day it cannot be erased as retention-expired"
    )]
    NotExpired {
        /// The first such record with the latest date.
        record: u64,
        /// Its date.
        retain_until: String,
        /// Date of the block.
        committed: String,
    },
    /// A hold under a name that is in use.
    #[error(
        "the hold {name} is in force already, since block {block}: choose another name, or release that one first"
    )]
    HoldInForce {
        /// Its name.
        name: String,
        /// The block that placed it.
        block: u64,
    },
    /// A release of a hold that is not in force.
    #[error("there is no hold {name} in force; `hold list` shows those there are")]
    NoSuchHold {
        /// The name.
        name: String,
    },
    /// More holds than a state may carry.
    #[error(
        "there would be more than {MAX_HOLDS} holds, or more than {MAX_HOLD_RANGES} ranges in them: release some, or place fewer and wider ranges"
    )]
    TooManyHolds,
    /// The ledger's numbers are used up.
    #[error("the ledger's record or sequence numbers are used up")]
    Exhausted,
    /// A block in the wrong place.
    #[error("block {found} found where block {expected} should be")]
    Height {
        /// The next height.
        expected: u64,
        /// The block's.
        found: u64,
    },
    /// A block that does not follow the one before it.
    #[error("it does not follow the block before it, whose hash is {expected:?} and not {found:?}")]
    PreviousBlock {
        /// Hash of the block before.
        expected: Hash,
        /// What the block says.
        found: Hash,
    },
    /// A block that claims to be older than its predecessor.
    #[error("it was committed at {found}, before its predecessor at {previous}")]
    TimeRunsBack {
        /// Of the block before.
        previous: Timestamp,
        /// Of this one.
        found: Timestamp,
    },
    /// A block whose records do not begin where the last ended.
    #[error("its first record is {found}, but the next of the ledger is {expected}")]
    FirstRecord {
        /// The next record.
        expected: u64,
        /// What the block says.
        found: u64,
    },
    /// Something is wrong with one block.
    #[error("block {height}: {source}")]
    AtBlock {
        /// Its height.
        height: u64,
        /// What is wrong.
        source: Box<ChainError>,
    },
    /// A saved state cannot be read.
    #[error("the saved chain state cannot be read; replay the blocks instead: {0}")]
    Snapshot(#[from] WireError),
}
