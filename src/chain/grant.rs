//! The rules a grant statement must keep towards its body. `docs/FORMAT.md` §12. Who may sign it, and for whom, is
//! [`super::replay`]'s; whether a slot is right only the new reader can tell, by the record's key commitment.

use super::authority::{GrantStatement, RecordRange};
use crate::base::grant::{GrantBody, blank};
use crate::base::hash::Hash;
use crate::base::wire::WireError;

const SLOTS_LABEL: &[u8] = b"sealtrail.org/grant-body/v1\n";

/// Why a grant body does not belong to its statement, or its statement not to the ledger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The body cannot be read.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The slots are others than those the statement names.
    #[error("the statement says slots-hash {stated}, the slots have {found}")]
    SlotsHash {
        /// What was signed.
        stated: String,
        /// What the bytes give.
        found: String,
    },
    /// The body covers another number of records than the range has.
    #[error("the statement covers {stated} records, the slots {found}")]
    Records {
        /// Number of records from first-record to last-record.
        stated: u64,
        /// Number of records of the body.
        found: u64,
    },
    /// A batch of the body is not where the statement's range has it.
    #[error("the slots for block {height} are not those of its records in the statement's range")]
    Place {
        /// The block's height.
        height: u64,
    },
    /// Slots were taken out of the body, and nothing in the ledger says why.
    #[error(
        "the slots of {} ({}) were taken out of the grant's body, and no erasure statement orders that",
        if .records.first == .records.last { "record" } else { "records" }, .records
    )]
    Emptied {
        /// The first such records.
        records: RecordRange,
    },
    /// The granter never was a reader.
    #[error("{0} was never a reader of this ledger, so it cannot grant")]
    NeverReader(String),
}

/// `slots-hash`: the hash of the body with the slots of every record replaced by their hash, so that it can still be checked
/// when some of them are erased. §12.
pub fn slots_hash(body: &[u8]) -> Result<Hash, WireError> {
    let mut blanked = body.to_vec();
    blank(&mut blanked, 0, |_| true)?;
    Ok(Hash::of(&[SLOTS_LABEL, &blanked]))
}

/// Every rule that needs nothing but the two.
pub fn check(statement: &GrantStatement, body: &[u8]) -> Result<(), GrantError> {
    let found = slots_hash(body)?;
    if statement.slots_hash != found {
        return Err(GrantError::SlotsHash { stated: statement.slots_hash.base64(), found: found.base64() });
    }
    let stated = (statement.range.last - statement.range.first).saturating_add(1);
    let found = GrantBody::decode(body)?.records();
    if stated == found { Ok(()) } else { Err(GrantError::Records { stated, found }) }
}

/// The records whose slots were taken out of the body though they are not in `ordered` (normalised). §12: a body may lack them only
/// if their erasure was ordered or, where it is served, if the grantee has left the roster.
pub fn emptied(
    statement: &GrantStatement,
    body: &[u8],
    ordered: &[RecordRange],
) -> Result<Vec<RecordRange>, WireError> {
    let gone = GrantBody::decode(body)?.gone(statement.range.first);
    let gone = gone.into_iter().map(|r| RecordRange { first: r, last: r }).collect();
    Ok(RecordRange::without(&RecordRange::normalise(gone), ordered))
}

/// The records of which the body has slots that open something.
pub fn given(statement: &GrantStatement, body: &[u8]) -> Result<Vec<RecordRange>, WireError> {
    let mut record = statement.range.first;
    let mut given = Vec::new();
    for part in GrantBody::decode(body)?.parts() {
        let with_slots = (record..).zip(part.entries()).filter(|(_, entry)| entry.gives_something());
        given.extend(with_slots.map(|(r, _)| RecordRange { first: r, last: r }));
        record = record.saturating_add(u64::from(part.head.records));
    }
    Ok(RecordRange::normalise(given))
}

/// Whether the body's batches are the blocks that hold the range, all of them. `block` gives a block's first record and the
/// number of its records; its error ends the check.
pub fn check_place<E: From<GrantError>>(
    statement: &GrantStatement,
    body: &[u8],
    mut block: impl FnMut(u64) -> Result<Option<(u64, u32)>, E>,
) -> Result<(), E> {
    let body = GrantBody::decode(body).map_err(GrantError::from)?;
    let mut next = statement.range.first;
    for part in body.parts() {
        let head = part.head;
        let (first, records) = block(head.height)?.unwrap_or_default();
        let end = first.saturating_add(u64::from(records)).min(statement.range.last.saturating_add(1));
        let fits = first.checked_add(u64::from(head.position)) == Some(next)
            && next.checked_add(u64::from(head.records)) == Some(end);
        if !fits {
            return Err(GrantError::Place { height: head.height }.into());
        }
        next = end;
    }
    Ok(())
}

#[cfg(test)]
#[path = "grant_tests.rs"]
mod tests;
