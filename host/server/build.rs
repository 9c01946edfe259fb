//! Tells the linker to write relocations down packed: nearly all of the 7 MB that they are
//! otherwise is in memory from the start.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // Linkers that do not know it warn; glibc has read it since 2.36, and GNU ld marks the program
    // as needing that.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
