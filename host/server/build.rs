//! Passes `-z pack-relative-relocs` to the linker: plain relocations take 7 MB, nearly all of which
//! becomes resident at start-up.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    // Linkers that lack the option warn. glibc reads the packed form since 2.36, and GNU ld marks
    // the program as needing that version.
    if target("OS") == "linux" && target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
