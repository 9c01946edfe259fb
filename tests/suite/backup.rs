//! Covers: `ocellus backup` of a server whose jobs run, twice, and a restore: a server on the copy.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::{
    media,
    server::{Options, Server, program, run},
};

fn backup(data: &Path, target: &Path) -> (bool, String) {
    let (status, out, error) = run(&["backup", target.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    (status.success(), out + &error)
}

/// The number of copied files in a backup's output.
fn copied(said: &str) -> u64 {
    said.split("; ").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok()).expect(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_jobs_run_is_served_and_its_jobs_are_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let server = Server::start(&data);
    let only_cars =
        json!({"stream_settings": {"detectors": {"face": null, "body": null, "car": {"filter_min_size": 15}}}});
    let done = server.process_file(only_cars.clone(), &media::short_street(dir.path(), 40)).await;
    server.finished(done).await;
    let deleted = server.create(json!({"name": "deleted later"})).await;
    let running = server.process_file(only_cars, &media::short_street(dir.path(), 300)).await;
    server.under_way(running, 20).await;
    let (backed_up, said) = backup(&data, &copy);
    assert!(backed_up && said.starts_with("videos: 3; "), "{said}");
    let first = copied(&said);

    server.status(reqwest::Method::DELETE, &format!("/videos/{deleted}/")).await;
    let (backed_up, said) = backup(&data, &copy);
    assert!(backed_up && said.starts_with("videos: 2; ") && said.contains("videos removed: 1"), "{said}");
    assert!(copied(&said) < first && said.contains("unchanged"), "{said}");
    let (video, objects) = (server.video(done).await, server.objects(done).await);
    let expected = server.finished(running).await;
    assert!(server.terminate().success());

    let (status, out, error) = run(&["check", "--data", copy.to_str().unwrap()]);
    assert!(status.success(), "{out}{error}");
    let restored = Server::start(&copy);
    let base = |text: &serde_json::Value| text.to_string().replace(restored.base(), "");
    let found = restored.video(done).await;
    for key in ["name", "file_size", "health_status", "stream_settings", "car_count", "created_date"] {
        assert_eq!(base(&found[key]), base(&video[key]), "{key}");
    }
    let ids = |objects: &[serde_json::Value]| crate::server::ids(objects);
    assert_eq!(ids(&restored.objects(done).await), ids(&objects));
    restored.bytes(&format!("/objects/{}/thumbnail/", objects[0]["id"].as_str().unwrap())).await;
    assert_eq!(restored.finished(running).await["car_count"], expected["car_count"]);
    assert!(restored.create(json!({})).await > running, "an id of a deleted video is not given again");
}

#[test]
fn a_folder_with_other_files_is_refused_as_target() {
    let dir = tempfile::tempdir().unwrap();
    let (data, other) = (dir.path().join("data"), dir.path().join("other"));
    drop(Options::new(&data).start());
    fs::create_dir(&other).unwrap();
    fs::write(other.join("letter.txt"), "dear").unwrap();
    let (backed_up, said) = backup(&data, &other);
    assert!(!backed_up && said.contains("no backup is in it"), "{said}");
    let (backed_up, said) = backup(&data, &data.join("copy"));
    assert!(!backed_up && said.contains("lie in each other"), "{said}");
    let relative = Command::new(program()).args(["backup", "copy", "--data", "data"]).current_dir(dir.path()).output();
    assert!(relative.unwrap().status.success() && dir.path().join("copy/backup.json").exists());
    let (backed_up, said) = backup(&other, &dir.path().join("copy"));
    assert!(!backed_up && said.contains("is no data folder"), "{said}");
    assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
}
