//! Layer 1, pure: from a JSON event to what is sealed. Checks the event, lists its fields, divides it
//! into the sections of the policy and finds the values that get blind tags; and the reverse, for those
//! who open records. No I/O, no keys, no clock.

pub mod error;
pub mod field;
mod found;
pub mod json;
mod lexer;
mod names;
pub mod normalise;
pub mod pattern;
pub mod policy;
pub mod prepare;
pub mod recognise;
pub mod split;
mod tree;
pub mod view;
