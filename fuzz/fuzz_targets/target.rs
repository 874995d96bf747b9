//! The fuzz target of this binary's name.

#![no_main]

use sealtrail_fuzz::targets::{Target, check, named};

const TARGET: Target = named(env!("CARGO_BIN_NAME"));

libfuzzer_sys::fuzz_target!(|data: &[u8]| check(&TARGET, data));
