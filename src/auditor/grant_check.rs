//! A grant's slots against the statement that names them: what every whole verification does to a grant's body.

use std::convert::Infallible;

use crate::chain::authority::RecordRange;
use crate::chain::grant::{self, GrantError};
use crate::chain::statement::GrantStatement;

/// Why a grant's slots are not what its statement names. `E` is why a block's place could not be looked up.
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantFault<E = Infallible> {
    #[error("the slots of its grant are missing")]
    Missing,
    #[error(transparent)]
    Rule(#[from] GrantError),
    /// Slots of these records are gone without an order, and the grantee still reads.
    #[error(
        "{}. Its reader is still in the roster",
        GrantError::Emptied { records: *.0 }
    )]
    Emptied(RecordRange),
    #[error("the place of a block could not be looked up")]
    Unknown(E),
}

/// Every rule but that slots may be gone only for a reason. `block` gives a block's first record and the number of its records.
pub(super) fn check_slots<E>(
    statement: &GrantStatement,
    body: &[u8],
    mut block: impl FnMut(u64) -> Result<Option<(u64, u32)>, E>,
) -> Result<(), GrantFault<E>> {
    if body.is_empty() {
        return Err(GrantFault::Missing);
    }
    grant::check(statement, body)?;
    grant::check_place(statement, body, |height| block(height).map_err(GrantFault::Unknown))
}
