//! Covers: the plugins folder while it changes: new, changed, broken and deleted files, and
//! sessions that run meanwhile.

use std::{
    fs,
    time::{Duration, Instant},
};

use ocellus_runtime::{Digest, Limits, PluginInfo, Plugins, State};
use serde_json::json;

use crate::common::{at, component, folder, frame, rebuilt, stream};

/// Waits until the report on a file meets a condition.
fn wait_until(plugins: &Plugins, file: &str, so: impl Fn(Option<&PluginInfo>) -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let generation = plugins.generation();
        let list = plugins.list();
        let info = list.iter().find(|i| i.file == file);
        if so(info) {
            return;
        }
        assert!(Instant::now() < end, "the report never became so: {info:?}");
        plugins.wait_for_change(generation, Duration::from_secs(5));
    }
}

#[test]
fn new_sessions_use_a_changed_file_and_running_ones_keep_the_old() {
    let folder = folder(&["plugins/simple-iou.wasm"]);
    let path = folder.path().join("simple-iou.wasm");
    let (first, second) = (component("plugins/simple-iou.wasm"), rebuilt(&component("plugins/simple-iou.wasm"), 1));
    let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
    let mut running = plugins.tracker("simple_iou", &json!({}), &stream()).unwrap();
    running.update(&frame(0), &[at(0.0, 0.0)]).unwrap();
    assert_eq!(running.digest(), Digest::of(&first));

    fs::write(&path, &second).unwrap();
    wait_until(&plugins, "simple-iou.wasm", |info| info.is_some_and(|i| i.digest == Some(Digest::of(&second))));
    let fresh = plugins.tracker("simple_iou", &json!({}), &stream()).unwrap();
    assert_eq!(fresh.digest(), Digest::of(&second));
    assert_eq!(running.digest(), Digest::of(&first));

    // A broken replacement leaves the last valid one in use, and is reported.
    fs::write(&path, &second[..second.len() / 2]).unwrap();
    wait_until(&plugins, "simple-iou.wasm", |info| info.is_some_and(|i| i.replacement_refused.is_some()));
    let info = plugins.list().pop().unwrap();
    assert_eq!((info.state, info.digest), (State::Ready, Some(Digest::of(&second))));
    plugins.tracker("simple_iou", &json!({}), &stream()).unwrap();

    // A removed file opens no new session; a running one continues.
    fs::remove_file(&path).unwrap();
    wait_until(&plugins, "simple-iou.wasm", |info| info.is_none());
    assert!(plugins.tracker("simple_iou", &json!({}), &stream()).is_err());
    assert_eq!(running.update(&frame(1), &[at(1.0, 0.0)]).unwrap().ids.len(), 1);
}

#[test]
fn a_new_file_is_taken_into_use() {
    let folder = folder(&[]);
    let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
    assert!(plugins.list().is_empty());
    // As installers do: written under another name, then renamed.
    let (hidden, shown) = (folder.path().join("quality.tmp"), folder.path().join("quality.wasm"));
    fs::write(&hidden, component("plugins/quality.wasm")).unwrap();
    fs::rename(&hidden, &shown).unwrap();
    wait_until(&plugins, "quality.wasm", |info| info.is_some_and(|i| i.state == State::Ready));
    plugins.filter("quality", &json!({}), &stream()).unwrap();
}

#[test]
fn a_name_is_free_again_when_its_file_is_gone() {
    let folder = folder(&["plugins/quality.wasm"]);
    fs::write(folder.path().join("second.wasm"), component("plugins/quality.wasm")).unwrap();
    let plugins = Plugins::open(folder.path(), Limits::default()).unwrap();
    fs::remove_file(folder.path().join("quality.wasm")).unwrap();
    wait_until(&plugins, "second.wasm", |info| info.is_some_and(|i| i.state == State::Ready));
}
