//! Covers: a power cut, a full disk, a torn write and a disk error at every step of every operation
//! that changes an archive. An acknowledged operation is there as a whole, any other whole or not
//! at all; no id is used twice; `check` finds nothing, before and after the next start; and a
//! failed operation can be repeated.
//!
//! The disk is real, with a journal of all steps from which the state after a power cut is derived:
//! see [`disk`].

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a failed assumption fails the test"
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

/// In tmpfs where there is one: nothing here needs a durable disk.
fn folder() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let within = if memory.is_dir() { memory } else { std::env::temp_dir() };
    TempDir::with_prefix_in("ocellus-faults-", within).unwrap()
}

/// The sample archive on a fault-injecting disk.
fn filled() -> (TempDir, FaultyDisk, Archive) {
    let dir = folder();
    let disk = FaultyDisk::over(dir.path());
    let archive = open(Arc::new(disk.clone()), dir.path()).unwrap();
    begin(&archive).unwrap();
    (dir, disk, archive)
}

fn assert_sound(data: &Path, context: &str) {
    let mut findings = Vec::new();
    let summary = check(data, false, &mut |f| findings.push(f.to_string())).unwrap();
    assert!(summary.is_sound(), "{context}: {findings:#?}");
}

/// Opens the archive that a power cut or a shutdown left, and compares it with the promises.
fn holds(data: &Path, context: &str, after: &View, promised: &dyn Fn(&View) -> bool) {
    assert_sound(data, context);
    let archive = open(Arc::new(LocalDisk), data).unwrap_or_else(|e| panic!("{context}: it does not open: {e}"));
    let found = view(&archive);
    assert!(
        promised(&found),
        "{context}: not as promised; compared with the finished operation:\n{}",
        difference(after, &found)
    );
    assert!(archive.create(record).unwrap().id > DELETED, "{context}: an id is used twice");
    drop(archive);
    assert_sound(data, &format!("{context}, after the next start"));
}

/// Cuts the power after each step of an operation; returns how many states were checked.
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
            let context =
                format!("{}, power cut after step {} of {}, {cut:?}", operation.name, steps - begin, end - begin);
            let acknowledged = steps == end;
            holds(image.path(), &context, &after, &|found| {
                if acknowledged { *found == after } else { lies_between(&before, found, &after) }
            });
            points += 1;
        }
    }
    points
}

/// Makes each step of an operation fail; returns how many states were checked.
fn fail_everywhere(operation: &Operation) -> u32 {
    let (steps, after) = {
        let (_dir, disk, archive) = filled();
        let begin = disk.steps();
        (operation.run)(&archive).unwrap();
        (disk.steps() - begin, view(&archive))
    };
    let mut points = 0;
    for (step, fault) in (0..steps).flat_map(|step| FAULTS.map(|fault| (step, fault))) {
        let context = format!("{}, step {step} of {steps} fails, {fault:?}", operation.name);
        let (dir, disk, archive) = filled();
        let before = view(&archive);
        disk.fail(step, fault);
        let succeeded = (operation.run)(&archive).is_ok();
        let promised = |found: &View| if succeeded { *found == after } else { lies_between(&before, found, &after) };
        let found = view(&archive);
        assert!(
            promised(&found),
            "{context}: right after the failure, not as promised:\n{}",
            difference(&after, &found)
        );
        disk.repair();
        // The disk after a power cut at this point.
        for cut in [Cut::Strict, Cut::Nothing] {
            let image = folder();
            disk.image(disk.steps(), cut, image.path());
            holds(image.path(), &format!("{context}, then a power cut, {cut:?}"), &after, &promised);
            points += 1;
        }
        if operation.repeatable {
            (operation.run)(&archive).unwrap_or_else(|e| panic!("{context}: repeated, it fails: {e}"));
            let found = view(&archive);
            assert!(found == after, "{context}, repeated: not as it should be:\n{}", difference(&after, &found));
        }
        drop(archive);
        let promised = |found: &View| if operation.repeatable { *found == after } else { promised(found) };
        holds(dir.path(), &format!("{context}, then a shutdown"), &after, &promised);
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
fn a_step_that_fails_loses_nothing_and_the_operation_can_be_repeated() {
    let points: u32 = OPERATIONS.iter().map(fail_everywhere).sum();
    println!("{points} states after steps that failed in {} operations", OPERATIONS.len());
    assert!(points > 1000);
}

/// Makes each step of an operation fail, runs another one after it and cuts the power; returns how
/// many states were checked.
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
        disk.repair();
        // The first operation may have deleted the video.
        if (next.run)(&archive).is_err() {
            continue;
        }
        let acknowledged = view(&archive).remove(&DONE.0);
        let image = folder();
        disk.image(disk.steps(), Cut::Strict, image.path());
        drop(archive);
        for data in [image.path(), dir.path()] {
            let context = format!("{}, step {step} of {steps} fails, {fault:?}; then {}", operation.name, next.name);
            assert_sound(data, &context);
            let found = view(&open(Arc::new(LocalDisk), data).unwrap()).remove(&DONE.0);
            assert_eq!(found, acknowledged, "{context}");
            points += 1;
        }
    }
    points
}

#[test]
fn an_operation_acknowledged_after_a_failed_step_is_kept() {
    let named = |names: &'static [&str]| OPERATIONS.iter().filter(|o| names.contains(&o.name));
    let failing = named(&["upload in place of another", "patch", "process again", "delivery", "delete the file"]);
    let next = || named(&["upload as long as the one before", "patch", "process again", "delete the file"]);
    let points: u32 = failing.flat_map(|operation| next().map(|next| fail_then_change(operation, next))).sum();
    println!("{points} states after an operation that follows one that failed");
    assert!(points > 500);
}

/// The repair after a power cut is itself made of steps that a power cut may interrupt.
#[test]
fn a_power_cut_during_the_repair_after_a_power_cut_loses_nothing() {
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
            for repaired in 0..=opened {
                let again = folder();
                second.image(repaired, Cut::Strict, again.path());
                let context = format!(
                    "{}, power cut after step {}, then while opening after step {repaired}",
                    operation.name,
                    steps - begin
                );
                holds(again.path(), &context, &found, &|there| *there == found || lies_between(&before, there, &after));
                points += 1;
            }
        }
    }
    println!("{points} power cuts during the start after one");
    assert!(points > 1000);
}

#[test]
fn ids_of_videos_deleted_on_a_full_disk_are_not_used_again() {
    let (dir, disk, archive) = filled();
    let made: Vec<VideoId> = (0..3).map(|_| archive.create(record).unwrap().id).collect();
    disk.fail(0, disk::Fault::Full);
    for id in &made {
        assert!(archive.delete(*id).unwrap());
    }
    disk.repair();
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
fn an_interrupted_migration_is_finished_by_the_next_start() {
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
    println!("{points} states during the migration");
    assert!(points > 20);
}
