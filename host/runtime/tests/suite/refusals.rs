//! Covers: files that are not loaded, and the reason that is reported for each.

use std::fs;

use ocellus_runtime::{CompileLimits, Limits, PluginInfo, Plugins, Refusal, State};
use tempfile::TempDir;

use crate::common::component;

/// The registry's report on this file, alone in a folder.
fn info(bytes: &[u8], limits: Limits) -> PluginInfo {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("it.wasm"), bytes).unwrap();
    let plugins = Plugins::open(folder.path(), limits).unwrap();
    plugins.list().pop().unwrap()
}

fn refusal(bytes: &[u8]) -> Refusal {
    match info(bytes, Limits::default()).state {
        State::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_that_are_not_components() {
    assert_eq!(refusal(b""), Refusal::Empty);
    assert_eq!(refusal(b"#!/bin/sh"), Refusal::NotWebAssembly);
    let core = refusal(b"\0asm\x01\0\0\0");
    assert!(core.to_string().contains("core module, not a component: build it with"), "{core}");
    assert!(core.to_string().contains("`ocellus plugin build`"), "{core}");
}

#[test]
fn a_truncated_file_is_refused() {
    let whole = component("plugins/quality.wasm");
    for length in [5, 8, 9, 100, whole.len() / 2, whole.len() - 1] {
        let refusal = refusal(&whole[..length]);
        assert!(matches!(refusal, Refusal::Truncated | Refusal::NoContract { .. }), "{length}: {refusal}");
    }
}

#[test]
fn a_flipped_bit_causes_no_panic() {
    let whole = component("plugins/quality.wasm");
    // A prime step, so that all kinds of sections are hit.
    for at in (8..whole.len()).step_by(whole.len() / 23) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        // Some flips leave a valid plugin (a letter in a string): any state is accepted.
        let _ = info(&flipped, Limits::default()).state;
    }
}

#[test]
fn components_with_other_exports_or_imports() {
    assert_eq!(
        refusal(&component("guests/newer-contract.wasm")).to_string(),
        "exports ocellus:plugin/tracking@0.2.0; this server speaks 0.1"
    );
    let other = refusal(&component("guests/other-world.wasm")).to_string();
    assert!(other.ends_with("it exports example:greeting/greeter"), "{other}");
    let with_import = refusal(&component("guests/ungranted-import.wasm")).to_string();
    assert_eq!(
        with_import,
        "imports example:files/reading@1.0.0, which is not granted: a plugin imports nothing but what its world names"
    );
    let without_request = refusal(&component("guests/ungranted-crops.wasm")).to_string();
    assert_eq!(
        without_request,
        "imports ocellus:plugin/crops without asking for the capability \"crops\" in its manifest"
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let limits = Limits { component_bytes: 1000, ..Limits::default() };
    assert!(matches!(
        info(&component("plugins/quality.wasm"), limits).state,
        State::Refused(Refusal::TooLarge { most: 1000, .. })
    ));
}

#[test]
fn a_component_beyond_the_compile_limits_is_not_compiled() {
    let valid = component("plugins/quality.wasm");
    let limits = |change: fn(&mut CompileLimits)| {
        let mut limits = Limits::default();
        change(&mut limits.compile);
        limits
    };
    for (limits, what) in [
        (limits(|l| l.functions = 5), "functions, more than the 5"),
        (limits(|l| l.function_bytes = 50), "bytes in one function, more than the 50"),
        (limits(|l| l.types = 3), "types, more than the 3"),
        (limits(|l| l.parts = 2), "parts, more than the 2"),
        (limits(|l| l.depth = 1), "has 2 parts within one another, more than the 1"),
    ] {
        let State::Refused(refusal) = info(&valid, limits).state else { panic!("{what}: loaded") };
        assert!(refusal.to_string().contains(what), "{refusal}");
    }
}

#[test]
fn a_plugin_that_cannot_start_within_its_memory_is_refused() {
    let limits = Limits { memory_bytes: 64 << 10, ..Limits::default() };
    let state = info(&component("plugins/quality.wasm"), limits).state;
    assert!(matches!(state, State::Refused(Refusal::Describe(_))), "{state:?}");
}

#[test]
fn a_refused_file_leaves_the_others_in_use() {
    let folder = crate::common::folder(&["plugins/quality.wasm", "plugins/size.wasm"]);
    fs::write(folder.path().join("a.wasm"), b"junk").unwrap();
    fs::write(folder.path().join("z.wasm"), component("plugins/quality.wasm")).unwrap();
    let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
    assert_eq!(plugins.names(ocellus_runtime::Kind::Filter), ["quality", "size"]);
    let states: Vec<_> = plugins.list().into_iter().map(|i| (i.file, i.state)).collect();
    assert_eq!(states[0], ("a.wasm".into(), State::Refused(Refusal::NotWebAssembly)));
    let taken = Refusal::NameTaken { name: "quality".into(), file: "quality.wasm".into() };
    assert_eq!(states[3], ("z.wasm".into(), State::Refused(taken)));
}

#[test]
fn a_missing_folder_is_an_error() {
    let folder = TempDir::new().unwrap();
    let error = Plugins::open(&folder.path().join("plugins"), Limits::default()).err().unwrap();
    assert!(error.to_string().contains("cannot read the plugins folder"), "{error}");
}
