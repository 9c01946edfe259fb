//! Covers: inputs that fuzzing found. Each reaches code that no other does, or once made a target
//! fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test fails by panicking")]

use std::{fs, path::Path};

use ocellus_fuzz::{TARGETS, target};

/// Runs the whole corpus of a target.
fn run(name: &str) {
    let target = target(name).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&folder).expect("each target has a corpus") {
        let path = entry.unwrap().path();
        // Shown where the test fails.
        eprintln!("{}", path.display());
        (target.run)(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

macro_rules! corpora {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            run(stringify!($target));
        })*

        #[test]
        fn every_target_has_a_test() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($target)),*]);
        }
    };
}

corpora!(archive cursor log media network options playlist request settings);
