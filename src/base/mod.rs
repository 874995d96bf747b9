//! Layer 0: what everything else is made of. No module here imports another layer.

pub mod batch;
pub mod bounded;
pub mod busy;
pub mod clock;
pub mod grant;
pub mod hash;
pub mod hmac;
pub mod limits;
pub mod notice;
pub mod owner;
pub(crate) mod padded;
pub mod paths;
pub mod random;
pub mod record;
pub mod secret;
pub(crate) mod sha256;
pub(crate) mod sha256_wide;
pub mod threads;
pub mod wire;
pub mod x25519;
