//! The fuzz target that the environment variable `SEALTRAIL_FUZZ_TARGET` names: one binary to build for `fuzz/run`.

#![no_main]

use std::sync::OnceLock;

use sealtrail_fuzz::targets::{Target, check, named};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        named(&std::env::var("SEALTRAIL_FUZZ_TARGET").expect("SEALTRAIL_FUZZ_TARGET is not set"))
    });
    check(target, data)
});
