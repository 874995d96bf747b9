//! How an input is cut into parts, and the keys that the corpora are made with.

use std::sync::OnceLock;

use sealtrail::chain::key::VerifierKey;
use sealtrail::seal::reader_key::{Identity, parse_identity_file};

/// Cuts a part off the front: its length in two bytes, then the part; what is missing is left out.
pub fn part<'a>(data: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, rest)) = data.split_first_chunk::<2>() else { return std::mem::take(data) };
    let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
    let (part, rest) = rest.split_at(length);
    *data = rest;
    part
}

/// Cuts one byte off the front; 0 if there is none.
pub fn byte(data: &mut &[u8]) -> u8 {
    let Some((first, rest)) = data.split_first() else { return 0 };
    *data = rest;
    *first
}

/// Cuts a number off the front; what is missing counts as zero bytes.
pub fn number(data: &mut &[u8]) -> u64 {
    (0..8).fold(0, |n, _| n << 8 | u64::from(byte(data)))
}

/// Keys of the test vectors.
pub struct Keys {
    pub ledger: VerifierKey,
    /// The ledger's, the admin's and the writer's.
    pub all: Vec<VerifierKey>,
    pub identities: Vec<Identity>,
}

macro_rules! key_file {
    ($name:literal) => {
        include_str!(concat!("../../../tests/vectors/format/keys/", $name))
    };
}

/// Read once.
pub fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let verifier = |text: &str| VerifierKey::parse(text.lines().last().unwrap()).unwrap();
        let ledger = verifier(key_file!("ledger.vkey"));
        let all = vec![ledger.clone(), verifier(key_file!("admin.vkey")), verifier(key_file!("writer.vkey"))];
        let files =
            [key_file!("auditor.identity"), key_file!("everyone.identity"), key_file!("person.identity")];
        let identities = files.iter().flat_map(|text| parse_identity_file(text).unwrap()).collect();
        Keys { ledger, all, identities }
    })
}
