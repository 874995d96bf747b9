//! C2SP tlog-proof: an entry's index, its inclusion path and the checkpoint. `docs/FORMAT.md` §10.

use std::fmt;

use super::text::{Lines, TextError};
use crate::base::hash::{Hash, from_base64, to_base64};
use crate::base::limits::{MAX_PATH_HASHES, MAX_PROOF_BYTES};

/// First line of a tlog-proof.
const KIND: &str = "c2sp.org/tlog-proof@v1";
/// What errors call it.
const WHAT: &str = "tlog-proof";

/// A proof as text says it; nothing of it is verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlogProof {
    /// Data the checkpoint does not vouch for; our own proofs have none.
    pub extra: Option<Vec<u8>>,
    /// Index of the entry in the log.
    pub index: u64,
    /// Inclusion path, the leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed checkpoint, verbatim.
    pub checkpoint: String,
}

impl TlogProof {
    /// Reads a tlog-proof; the inverse of [`Display`](fmt::Display).
    pub fn parse(text: &str) -> Result<TlogProof, TextError> {
        if text.len() > MAX_PROOF_BYTES {
            return Err(TextError::TooLarge { what: WHAT, max: MAX_PROOF_BYTES });
        }
        let mut l = Lines::new(text, WHAT);
        l.literal(KIND)?;
        let extra = match l.optional("extra") {
            None => None,
            Some(data) => match from_base64(data) {
                Some(bytes) => Some(bytes),
                None => return l.invalid("extra", "expected base64"),
            },
        };
        let index = l.number("index")?;
        let mut path = Vec::new();
        loop {
            let line = l.line("(an empty line)")?;
            if line.is_empty() {
                break;
            }
            let Some(hash) = Hash::from_base64(line) else {
                return l.invalid("path", "expected 32 bytes in base64");
            };
            if path.len() == MAX_PATH_HASHES {
                return l.invalid("path", "longer than any tree is high");
            }
            path.push(hash);
        }
        Ok(TlogProof { extra, index, path, checkpoint: l.rest().to_owned() })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{KIND}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", to_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|h| writeln!(f, "{}", h.base64()))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
