//! Ways into what this folder keeps private, for fuzz targets; see `docs/FUZZING.md`.

use zeroize::Zeroizing;

use super::protected::{self, Passphrase, ProtectedError};

/// [`protected::open`] of what asks for next to no work: a thousand files a second.
pub fn open_protected(bytes: &[u8], passphrase: &str) -> Result<Zeroizing<String>, ProtectedError> {
    const MOST_WORK: u8 = 4;
    protected::open_within(bytes, &Passphrase::new(passphrase.to_owned()), MOST_WORK)
}
