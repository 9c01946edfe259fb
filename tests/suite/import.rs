//! Covers: `--import`: files become videos once they stop growing, each once, also over restarts.

use std::{fs, path::Path};

use serde_json::json;

use crate::{
    media,
    server::{Options, Server, until},
};

fn start(data: &Path, folder: &Path) -> Server {
    Options::new(data).argument("--import", folder.to_str().unwrap()).argument("--import-quiet-ms", "200").start()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_once_and_again_when_it_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (data, folder) = (dir.path().join("data"), dir.path().join("recordings"));
    fs::create_dir_all(folder.join("camera 1")).unwrap();
    let clip = media::short_street(dir.path(), 10);
    let server = start(&data, &folder);
    fs::write(folder.join("unfinished.mp4.part"), "x").unwrap();
    fs::copy(&clip, folder.join("camera 1/monday.mp4")).unwrap();
    let count = async |server: &Server| server.get("/videos/count/").await["count"].as_u64().unwrap();
    until("the file is imported", async || count(&server).await == 1).await;
    let video = server.finished(1).await;
    assert_eq!((&video["name"], &video["health_status"]["status"]), (&json!("monday.mp4"), &json!("COMPLETED")));
    assert_eq!(video["file_size"], fs::metadata(&clip).unwrap().len());
    // The list is updated once the job is queued.
    let list = || fs::read_to_string(data.join("imports.json")).unwrap();
    until("the list is updated", async || list().contains("\"is_done\": true")).await;
    assert!(server.terminate().success());

    let server = start(&data, &folder);
    fs::copy(&clip, folder.join("tuesday.mp4")).unwrap();
    until("the second file is imported", async || count(&server).await == 2).await;
    server.finished(2).await;
    assert_eq!(server.video(2).await["name"], "tuesday.mp4");
    assert!(folder.join("tuesday.mp4").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_folder_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let output = Options::new(dir.path()).argument("--import", "/no/such/folder").command().output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/no/such/folder"));
}
