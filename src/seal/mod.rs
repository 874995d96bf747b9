//! Layer 1, confidentiality: who can read a record, and what an opened record proves about itself.
//!
//! In scope: reader keys, the HPKE envelope, record keys, encryption, padding, field commitments, blind
//! tags. Pure computation; randomness is passed in. Not in scope: JSON (layer `event`), signatures and
//! trees over records (layer `chain`), files.
//!
//! A writer needs [`sealer`]; only [`open`] can decrypt, so a program that does not name it cannot.

mod access;
pub mod aead;
pub mod at_rest;
pub mod disclosure;
pub mod draft;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod grant;
pub mod kem;
pub mod keys;
pub mod keystream;
pub mod open;
mod open_error;
pub mod padding;
mod plan;
pub mod protected;
pub mod reader_key;
mod seal_error;
pub mod sealer;
pub mod tag;
mod worker;

#[cfg(test)]
pub(crate) mod test_vectors;
