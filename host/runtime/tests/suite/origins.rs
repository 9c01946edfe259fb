//! Covers: the two folders of plugins. A user's plugin overrides the shipped one of its name, which
//! is restored once the user's is removed; installing and removing only changes the users' folder;
//! running jobs follow.

use std::{
    fs,
    time::{Duration, Instant},
};

use ocellus_core::TrackId;
use ocellus_runtime::{Digest, InstallError, Kind, Limits, Origin, Plugins, Refusal, RemoveError, Role, Setup, State};
use serde_json::json;
use tempfile::TempDir;

use crate::common::{at, component, folder, frame, rebuilt, stream};

struct Place {
    plugins: Plugins,
    shipped: TempDir,
    user: TempDir,
}

fn place() -> Place {
    let (shipped, user) = (folder(&["plugins/simple-iou.wasm", "plugins/size.wasm"]), TempDir::new().unwrap());
    let setup = Setup { user: Some(user.path().join("plugins")), ..Setup::from(shipped.path()) };
    Place { plugins: Plugins::open(setup, Limits::default()).unwrap(), shipped, user }
}

impl Place {
    fn origin_and_digest(&self, name: &str) -> Option<(Origin, Digest)> {
        self.plugins.info(name, Role::Active).map(|info| (info.origin, info.digest.unwrap()))
    }

    fn files(&self, origin: Origin) -> Vec<String> {
        let folder =
            if origin == Origin::User { self.user.path().join("plugins") } else { self.shipped.path().to_owned() };
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn wait_until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(60);
        loop {
            let generation = self.plugins.generation();
            if so(self) {
                return;
            }
            assert!(Instant::now() < end, "gave up waiting for {what}: {:#?}", self.plugins.list());
            self.plugins.wait_for_change(generation, Duration::from_secs(5));
        }
    }
}

#[test]
fn a_users_plugin_overrides_the_shipped_one_until_it_is_removed() {
    let place = place();
    let (ships, users) = (component("plugins/simple-iou.wasm"), rebuilt(&component("plugins/simple-iou.wasm"), 1));
    let (before, after) = ((Origin::Shipped, Digest::of(&ships)), (Origin::User, Digest::of(&users)));
    assert_eq!(place.origin_and_digest("simple_iou"), Some(before));

    let installed = place.plugins.install("simple_iou", Role::Active, &users).unwrap();
    assert_eq!((installed.origin, installed.file.as_str()), (Origin::User, "simple_iou.wasm"));
    assert_eq!(place.origin_and_digest("simple_iou"), Some(after));
    assert_eq!(place.plugins.digest(Kind::Tracker, "simple_iou"), Some(after.1));
    assert_eq!(
        (place.files(Origin::User), place.files(Origin::Shipped).len()),
        (vec!["simple_iou.wasm".to_owned()], 2)
    );
    let states: Vec<_> = place.plugins.list().into_iter().map(|i| (i.origin, i.file, i.state)).collect();
    let expected = [
        (Origin::User, "simple_iou.wasm".to_owned(), State::Ready),
        (Origin::Shipped, "simple-iou.wasm".to_owned(), State::Overridden("simple_iou.wasm".into())),
        (Origin::Shipped, "size.wasm".to_owned(), State::Ready),
    ];
    assert_eq!(states, expected);

    assert!(place.plugins.remove("simple_iou", Role::Active).unwrap());
    assert_eq!(place.origin_and_digest("simple_iou"), Some(before));
    assert!(place.files(Origin::User).is_empty());
}

#[test]
fn a_shipped_plugin_is_not_removed() {
    let place = place();
    assert!(matches!(place.plugins.remove("size", Role::Active), Err(RemoveError::Ships(name)) if name == "size"));
    assert_eq!((place.files(Origin::Shipped).len(), place.origin_and_digest("size").is_some()), (2, true));
    assert!(!place.plugins.remove("nobody", Role::Active).unwrap());
}

#[test]
fn a_running_job_follows_both_changes_and_keeps_its_tracks() {
    let place = place();
    let mut slot = place.plugins.tracker_slot("simple_iou", &json!({}), &stream()).unwrap();
    let mut index = 0;
    let mut until_swaps = |swaps: u64| {
        let end = Instant::now() + Duration::from_secs(60);
        while slot.report().swaps < swaps {
            assert_eq!(slot.update(&frame(index), &[at(0.0, 0.0)]).unwrap().ids, [Some(TrackId(1))]);
            index += 1;
            assert!(Instant::now() < end, "{:?}", slot.report());
        }
    };
    place.plugins.install("simple_iou", Role::Active, &rebuilt(&component("plugins/simple-iou.wasm"), 1)).unwrap();
    until_swaps(1);
    assert!(place.plugins.remove("simple_iou", Role::Active).unwrap());
    until_swaps(2);
}

#[test]
fn both_folders_are_watched() {
    let place = place();
    let users = rebuilt(&component("plugins/size.wasm"), 1);
    fs::write(place.user.path().join("plugins/mine.wasm"), &users).unwrap();
    place.wait_until("the user's", |p| p.origin_and_digest("size") == Some((Origin::User, Digest::of(&users))));
    let newer = rebuilt(&component("plugins/size.wasm"), 2);
    fs::write(place.shipped.path().join("size.wasm"), &newer).unwrap();
    place.wait_until("the newer one beside it", |p| {
        p.plugins.list().iter().any(|i| i.digest == Some(Digest::of(&newer)))
    });
    assert_eq!(place.origin_and_digest("size"), Some((Origin::User, Digest::of(&users))));
    fs::remove_file(place.user.path().join("plugins/mine.wasm")).unwrap();
    place.wait_until("the newer one", |p| p.origin_and_digest("size") == Some((Origin::Shipped, Digest::of(&newer))));
}

#[test]
fn a_users_file_that_is_refused_overrides_nothing() {
    let place = place();
    fs::write(place.user.path().join("plugins/size.wasm"), b"junk").unwrap();
    let refused = |p: &Place| p.plugins.list()[0].state == State::Refused(Refusal::NotWebAssembly);
    place.wait_until("the refusal", refused);
    assert_eq!(place.origin_and_digest("size").unwrap().0, Origin::Shipped);
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named_and_changes_nothing() {
    let place = place();
    let folder = place.user.path().join("plugins");
    fs::remove_dir(&folder).unwrap();
    let error = place.plugins.install("size", Role::Active, &rebuilt(&component("plugins/size.wasm"), 1)).unwrap_err();
    assert!(
        matches!(&error, InstallError::Io { .. }) && error.to_string().contains(folder.to_str().unwrap()),
        "{error}"
    );
    assert_eq!(place.origin_and_digest("size").unwrap().0, Origin::Shipped);
}
