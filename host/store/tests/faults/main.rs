//! Covers: a power cut, a full disk, a torn write and a disk error at every single step of every
//! operation that changes an archive. What was acknowledged is there, whole; what was not is there
//! or not; no id comes again; `check` says that all is well, before and after the next start; and
//! what failed can be tried again.
//!
//! The disk is real, with a journal of all steps from which the state after a power cut is made:
//! see [`disk`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test ends where something is wrong"
)]

mod disk;
#[path = "../common/object.rs"]
mod object;
mod world;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use disk::{CUTS, Cut, FAULTS, FaultyDisk};
use ocellus_core::VideoId;
use ocellus_store::{Archive, LocalDisk, check};
use tempfile::TempDir;
use world::{DELETED, DONE, OPERATIONS, Operation, View, begin, difference, lies_between, open, record, view};

/// In memory where the system has such a folder: nothing here needs a disk that keeps anything.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let within = if memory.is_dir() { memory } else { std::env::temp_dir() };
    TempDir::with_prefix_in("ocellus-faults-", within).unwrap()
}

/// An archive with something in it, on a disk that can be made to fail.
fn filled() -> (TempDir, FaultyDisk, Archive) {
    let dir = folder();
    let disk = FaultyDisk::over(dir.path());
    let archive = open(Arc::new(disk.clone()), dir.path()).unwrap();
    begin(&archive).unwrap();
    (dir, disk, archive)
}

fn is_sound(data: &Path, where_: &str) {
    let mut findings = Vec::new();
    let summary = check(data, false, &mut |f| findings.push(f.to_string())).unwrap();
    assert!(summary.is_sound(), "{where_}: {findings:#?}");
}

/// Opens what a power cut or a good end left, and compares it with what was promised.
fn holds(data: &Path, where_: &str, after: &View, promised: &dyn Fn(&View) -> bool) {
    is_sound(data, where_);
    let archive = open(Arc::new(LocalDisk), data).unwrap_or_else(|e| panic!("{where_}: it does not open: {e}"));
    let found = view(&archive);
    assert!(promised(&found), "{where_}: not as promised, nor as it would be:\n{}", difference(after, &found));
    assert!(archive.create(record).unwrap().id > DELETED, "{where_}: an id comes again");
    drop(archive);
    is_sound(data, &format!("{where_}, after the next start"));
}

/// Cuts the power after each step of an operation; how many states were looked at.
fn cut_everywhere(operation: &Operation) -> u32 {
    let (_dir, disk, archive) = filled();
    let (before, begin) = (view(&archive), disk.steps());
    (operation.run)(&archive).unwrap();
    let (after, end) = (view(&archive), disk.steps());
    let mut points = 0;
    for steps in begin..=end {
        for cut in CUTS {
            let image = folder();
            disk.image(steps, cut, image.path());
            let where_ =
                format!("{}, power cut after step {} of {}, {cut:?}", operation.name, steps - begin, end - begin);
            let acknowledged = steps == end;
            holds(image.path(), &where_, &after, &|found| {
                if acknowledged { *found == after } else { lies_between(&before, found, &after) }
            });
            points += 1;
        }
    }
    points
}

/// Lets each step of an operation fail; how many states were looked at.
fn fail_everywhere(operation: &Operation) -> u32 {
    let (steps, after) = {
        let (_dir, disk, archive) = filled();
        let begin = disk.steps();
        (operation.run)(&archive).unwrap();
        (disk.steps() - begin, view(&archive))
    };
    let mut points = 0;
    for (step, fault) in (0..steps).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let where_ = format!("{}, step {step} of {steps} fails, {fault:?}", operation.name);
        let (dir, disk, archive) = filled();
        let before = view(&archive);
        disk.fail(step, fault);
        let succeeded = (operation.run)(&archive).is_ok();
        let promised = |found: &View| if succeeded { *found == after } else { lies_between(&before, found, &after) };
        let found = view(&archive);
        assert!(promised(&found), "{where_}: at once it is not as promised:\n{}", difference(&after, &found));
        disk.mend();
        // What the power cut would leave now.
        for cut in [Cut::Strict, Cut::Nothing] {
            let image = folder();
            disk.image(disk.steps(), cut, image.path());
            holds(image.path(), &format!("{where_}, then a power cut, {cut:?}"), &after, &promised);
            points += 1;
        }
        if operation.again {
            (operation.run)(&archive).unwrap_or_else(|e| panic!("{where_}: it fails again: {e}"));
            let found = view(&archive);
            assert!(
                found == after,
                "{where_}, tried again: it is not as it should be:\n{}",
                difference(&after, &found)
            );
        }
        drop(archive);
        let promised = |found: &View| if operation.again { *found == after } else { promised(found) };
        holds(dir.path(), &format!("{where_}, then a good end"), &after, &promised);
        points += 1;
    }
    points
}

#[test]
fn a_power_cut_at_any_step_of_any_operation_loses_nothing() {
    let points: u32 = OPERATIONS.iter().map(cut_everywhere).sum();
    println!("{points} power cuts in {} operations", OPERATIONS.len());
    assert!(points > 1000);
}

#[test]
fn a_step_that_fails_loses_nothing_and_can_be_tried_again() {
    let points: u32 = OPERATIONS.iter().map(fail_everywhere).sum();
    println!("{points} states after steps that failed in {} operations", OPERATIONS.len());
    assert!(points > 1000);
}

/// Lets each step of an operation fail, does another one after it and cuts the power; how many
/// states were looked at.
fn fail_then_change(operation: &Operation, next: &Operation) -> u32 {
    let steps = {
        let (_dir, disk, archive) = filled();
        let begin = disk.steps();
        (operation.run)(&archive).unwrap();
        disk.steps() - begin
    };
    let mut points = 0;
    for (step, fault) in (0..steps).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let (dir, disk, archive) = filled();
        disk.fail(step, fault);
        let _ = (operation.run)(&archive);
        disk.mend();
        // Of a video that is gone there is nothing to be changed.
        if (next.run)(&archive).is_err() {
            continue;
        }
        let acknowledged = view(&archive).remove(&DONE.0);
        let image = folder();
        disk.image(disk.steps(), Cut::Strict, image.path());
        drop(archive);
        for data in [image.path(), dir.path()] {
            let where_ = format!("{}, step {step} of {steps} fails, {fault:?}; then {}", operation.name, next.name);
            is_sound(data, &where_);
            let found = view(&open(Arc::new(LocalDisk), data).unwrap()).remove(&DONE.0);
            assert_eq!(found, acknowledged, "{where_}");
            points += 1;
        }
    }
    points
}

#[test]
fn what_is_acknowledged_after_a_step_that_failed_is_kept() {
    let named = |names: &'static [&str]| OPERATIONS.iter().filter(|o| names.contains(&o.name));
    let failing = named(&["upload in place of another", "patch", "process again", "delivery", "delete the file"]);
    let next = || named(&["upload as long as the one before", "patch", "process again", "delete the file"]);
    let points: u32 = failing.flat_map(|operation| next().map(|next| fail_then_change(operation, next))).sum();
    println!("{points} states after an operation that follows one that failed");
    assert!(points > 500);
}

/// What a power cut left is itself finished in steps that a power cut may end.
#[test]
fn a_power_cut_while_the_next_start_tidies_up_loses_nothing() {
    let mut points = 0;
    for operation in OPERATIONS {
        let (_dir, disk, archive) = filled();
        let (before, begin) = (view(&archive), disk.steps());
        (operation.run)(&archive).unwrap();
        let (after, end) = (view(&archive), disk.steps());
        for steps in begin..end {
            let image = folder();
            disk.image(steps, Cut::Nothing, image.path());
            let second = FaultyDisk::over(image.path());
            let archive = open(Arc::new(second.clone()), image.path()).unwrap();
            let (found, opened) = (view(&archive), second.steps());
            drop(archive);
            for tidied in 0..=opened {
                let again = folder();
                second.image(tidied, Cut::Strict, again.path());
                let where_ = format!(
                    "{}, power cut after step {}, then while opening after step {tidied}",
                    operation.name,
                    steps - begin
                );
                holds(again.path(), &where_, &found, &|there| *there == found || lies_between(&before, there, &after));
                points += 1;
            }
        }
    }
    println!("{points} power cuts during the start after one");
    assert!(points > 1000);
}

#[test]
fn ids_never_come_again_whatever_is_deleted_while_the_disk_is_full() {
    let (dir, disk, archive) = filled();
    let made: Vec<VideoId> = (0..3).map(|_| archive.create(record).unwrap().id).collect();
    disk.fail(0, disk::Fault::Full);
    for id in &made {
        assert!(archive.delete(*id).unwrap());
    }
    disk.mend();
    let image = folder();
    disk.image(disk.steps(), Cut::Strict, image.path());
    drop(archive);
    for data in [dir.path(), image.path()] {
        let archive = open(Arc::new(LocalDisk), data).unwrap();
        let next = archive.create(record).unwrap().id;
        assert!(next > made[2], "{next} after {made:?}");
    }
}

/// A folder as release 0.1 leaves it: no `format.json`.
fn of_release_0_1() -> TempDir {
    let (dir, disk, archive) = filled();
    drop((archive, disk));
    for name in ["format.json", "index.clean"] {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    std::fs::remove_dir_all(dir.path().join("index")).unwrap();
    dir
}

#[test]
fn a_way_to_the_present_format_that_is_cut_off_is_gone_to_its_end_by_the_next_start() {
    let mut points = 0;
    let reference = of_release_0_1();
    let disk = FaultyDisk::over(reference.path());
    let archive = open(Arc::new(disk.clone()), reference.path()).unwrap();
    let (expected, steps) = (view(&archive), disk.steps());
    drop(archive);
    for (step, cut) in (0..=steps).flat_map(|step| CUTS.map(|cut| (step, cut))) {
        let image = folder();
        disk.image(step, cut, image.path());
        holds(image.path(), &format!("power cut after step {step} of {steps}, {cut:?}"), &expected, &|found| {
            *found == expected
        });
        points += 1;
    }
    for (step, fault) in (0..steps).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let dir = of_release_0_1();
        let disk = FaultyDisk::over(dir.path());
        disk.fail(step, fault);
        drop(open(Arc::new(disk), dir.path()));
        holds(dir.path(), &format!("step {step} of {steps} fails, {fault:?}"), &expected, &|found| *found == expected);
        points += 1;
    }
    println!("{points} states on the way from one format to the next");
    assert!(points > 20);
}
