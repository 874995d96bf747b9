//! Reading `tests/vectors/crypto/` in unit tests.
#![allow(clippy::unwrap_used)]

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::base::hash::from_hex;

/// A byte string written in hexadecimal.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hex(pub(crate) Vec<u8>);

impl TryFrom<String> for Hex {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        from_hex(&text).map(Hex).ok_or_else(|| format!("not hexadecimal: {text}"))
    }
}

impl Hex {
    /// The bytes, which must be exactly `N`.
    pub(crate) fn array<const N: usize>(&self) -> &[u8; N] {
        self.0.as_slice().try_into().unwrap()
    }
}

/// Parses a vector file.
pub(crate) fn load<T: DeserializeOwned>(json: &str) -> T {
    serde_json::from_str(json).unwrap()
}
