//! Layer 5: the settings file and the key files. What a key's text means is the business of the layers
//! that use it; here are only names, permissions and bytes.

mod check;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod keyfile;
pub mod passphrase;
pub mod settings;
mod template;
pub mod writer_settings;
