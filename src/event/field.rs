//! The fields of an event are what [`crate::seal::disclosure`] commits to; `docs/FORMAT.md` §5, Fields.

pub use crate::seal::disclosure::{Field, Scalar};
