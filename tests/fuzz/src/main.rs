//! Program that runs the target in `OCELLUS_FUZZ_TARGET` under libFuzzer, for `cargo xtask fuzz`.

#![no_main]
#![allow(clippy::expect_used, reason = "a program of developers")]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use ocellus_fuzz::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("OCELLUS_FUZZ_TARGET").expect("OCELLUS_FUZZ_TARGET names a target");
    ocellus_fuzz::target(&name).expect("OCELLUS_FUZZ_TARGET names a target")
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
