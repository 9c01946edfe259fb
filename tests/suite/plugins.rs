//! Covers: plugins in a running server. A changed file takes over in running and new jobs; a
//! damaged one is refused with a reason and the old one stays; plugins are installed and removed
//! over the API, and override shipped ones; a fault is handled by the operator's policy and affects
//! no other job; an unknown tracker is a 400 that names the installed ones.

use std::{fs, path::Path};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server, small, until},
};

/// Copies the shipped plugins into a folder of the test.
pub(crate) fn copy_plugins(to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(media::assets().join("plugins")).expect("plugins are missing: run cargo xtask build") {
        let path = file.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

async fn plugin(server: &Server, name: &str) -> Option<Value> {
    let plugins = server.get("/plugins/").await;
    plugins["results"].as_array().unwrap().iter().find(|p| p["name"] == name).cloned()
}

async fn job_status(server: &Server, file: &Path) -> Value {
    let id = server.process_file(json!({}), file).await;
    server.finished(id).await["health_status"]["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_is_used_by_the_next_job() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let file = media::pattern(dir.path(), "320x240", 1);
    let server = Options::new(&data).plugins(&plugins).start();
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let before = plugin(&server, "simple_iou").await.unwrap();

    let path = plugins.join("simple-iou.wasm");
    let bytes = rebuilt(&fs::read(&path).unwrap(), 1);
    fs::write(&path, &bytes).unwrap();
    until("the new digest is listed", async || {
        plugin(&server, "simple_iou").await.is_some_and(|p| p["digest"] != before["digest"])
    })
    .await;
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let good = plugin(&server, "simple_iou").await.unwrap();

    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    until("the truncated file is refused", async || server.get("/plugins/").await.to_string().contains("truncated"))
        .await;
    assert_eq!(plugin(&server, "simple_iou").await.unwrap()["digest"], good["digest"], "the old plugin stays");
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
}

/// A component with another digest and the same behaviour: it has an additional custom section.
pub(crate) fn rebuilt(bytes: &[u8], number: u32) -> Vec<u8> {
    let name = format!("build{number:06}");
    [bytes, &[0, name.len() as u8 + 1, name.len() as u8], name.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_replaced_during_a_job_and_removed() {
    const FRAMES: u32 = 220;
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let server = Options::new(&data).plugins(&plugins).start();
    // Long enough for three components to be compiled beside it, on a busy machine.
    let clip = media::short_street(dir.path(), FRAMES);
    let settings =
        |speed: f64| json!({"detectors": {"face": null, "car": small()}, "play_speed": speed, "disable_drops": true});

    let undisturbed = server.process_file(json!({"stream_settings": settings(-1.0)}), &clip).await;
    server.finished(undisturbed).await;

    let id = server.process_file(json!({"stream_settings": settings(0.5)}), &clip).await;
    let mut swaps = 0;
    for (number, name, file) in
        [(1, "simple_iou", "simple-iou"), (2, "quality", "quality"), (3, "simple_iou", "simple-iou")]
    {
        server.under_way(id, 30 * u64::from(number)).await;
        let bytes = rebuilt(&fs::read(plugins.join(format!("{file}.wasm"))).unwrap(), number);
        let (status, installed) = server.install(name, bytes).await;
        assert_eq!(
            (status, &installed["name"], &installed["state"]),
            (StatusCode::OK, &json!(name), &json!("ready")),
            "{installed:#}"
        );
        swaps += 1;
    }
    let video = server.finished(id).await;
    let statistic = &video["health_status"]["statistic"];
    assert_eq!(
        (video["health_status"]["status"].as_str(), statistic["frames_processed"].as_u64()),
        (Some("COMPLETED"), Some(FRAMES.into()))
    );
    let used = &statistic["plugins"];
    assert_eq!(
        used["simple_iou"]["swaps"].as_u64().unwrap() + used["quality"]["swaps"].as_u64().unwrap(),
        swaps,
        "{used:#}"
    );
    assert_eq!(used["simple_iou"]["components"].as_array().unwrap().len(), 3);
    assert_eq!(used["simple_iou"]["faults"], 0);
    let found = async |id: u64| -> Vec<Value> {
        server
            .objects(id)
            .await
            .into_iter()
            .map(|o| json!([o["type"], o["track_id"], o["bbox"], o["best_time"], o["detections"]]))
            .collect()
    };
    assert_eq!(found(id).await, found(undisturbed).await, "the swaps change no object");

    let shown = server.get("/plugins/simple_iou/").await;
    assert_eq!(shown["digest"], used["simple_iou"]["components"][2]["digest"]);
    assert!(shown["used"]["calls"].as_u64() > Some(2 * u64::from(FRAMES) - 10), "{shown:#}");
    let (status, refused) = server.install("simple_iou", vec![0; 64]).await;
    assert_eq!((status, &refused["param"]), (StatusCode::BAD_REQUEST, &json!("body")), "{refused}");
    let (status, refused) = server.install("other_name", fs::read(plugins.join("quality.wasm")).unwrap()).await;
    assert_eq!((status, &refused["param"]), (StatusCode::BAD_REQUEST, &json!("name")), "{refused}");

    let deleted = async |name: &str| server.status(Method::DELETE, &format!("/plugins/{name}/")).await;
    assert_eq!((deleted("quality").await, deleted("nobody").await), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
}

#[tokio::test(flavor = "multi_thread")]
async fn installed_plugins_are_kept_in_the_data_folder_and_override_shipped_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (data, shipped_dir) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&shipped_dir);
    let server = Options::new(&data).plugins(&shipped_dir).start();
    let shipped = server.get("/plugins/quality/").await;
    assert_eq!(shipped["origin"], "shipped");
    let bytes = fs::read(shipped_dir.join("quality.wasm")).unwrap();
    let put = async |server: &Server, number: u32| server.install("quality", rebuilt(&bytes, number)).await;
    let delete = async |server: &Server| {
        let response = server.request(Method::DELETE, "/plugins/quality/").send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    };

    let (status, installed) = put(&server, 1).await;
    assert_eq!(
        (status, &installed["origin"], &installed["file"]),
        (StatusCode::OK, &json!("user"), &json!("quality.wasm"))
    );
    assert!(data.join("plugins/quality.wasm").is_file());
    assert_eq!(fs::read(shipped_dir.join("quality.wasm")).unwrap(), bytes);
    assert!(server.terminate().success());

    // It stays installed over a restart.
    let server = Options::new(&data).plugins(&shipped_dir).start();
    let all = server.get("/plugins/").await["results"].as_array().unwrap().clone();
    let quality: Vec<_> =
        all.iter().filter(|p| p["name"] == "quality").map(|p| (p["origin"].clone(), p["state"].clone())).collect();
    let overridden = json!("overridden: by the user's plugin in quality.wasm");
    assert_eq!(quality, [(json!("user"), json!("ready")), (json!("shipped"), overridden)]);

    assert_eq!(delete(&server).await.0, StatusCode::NO_CONTENT);
    let back = server.get("/plugins/quality/").await;
    assert_eq!(
        (&back["digest"], &back["origin"], &back["state"]),
        (&shipped["digest"], &json!("shipped"), &json!("ready"))
    );
    let (status, answer) = delete(&server).await;
    assert_eq!(status, StatusCode::CONFLICT, "a second DELETE does not remove the shipped plugin: {answer}");
    assert!(shipped_dir.join("quality.wasm").exists());

    // Without its folder the component cannot be written.
    fs::remove_dir(data.join("plugins")).unwrap();
    let (status, answer) = put(&server, 2).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let desc = answer["desc"].as_str().unwrap();
    assert!(
        desc.contains("cannot write to its folder of plugins")
            && !answer.to_string().contains(dir.path().to_str().unwrap()),
        "{answer}"
    );
}

/// A component of `tests/guests`, as `cargo xtask build` made it.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    fs::read(media::assets().join("guests").join(name)).expect("guests are missing: run cargo xtask build")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_faulty_filter_is_handled_by_the_operators_policy_and_affects_no_other_job() {
    let dir = tempfile::tempdir().unwrap();
    let clip = media::short_street(dir.path(), 60);
    let plugins_of =
        |filters: &str| if filters.is_empty() { json!({}) } else { json!({filters: {"misdeed": "million-verdicts"}}) };
    for (policy, status) in [("fail", "INTERRUPTED"), ("skip", "COMPLETED")] {
        let (data, plugins) = (dir.path().join(format!("data-{policy}")), dir.path().join(format!("plugins-{policy}")));
        copy_plugins(&plugins);
        fs::write(plugins.join("hostile-filter.wasm"), guest("hostile-filter.wasm")).unwrap();
        let server =
            Options::new(&data).plugins(&plugins).argument("--on-plugin-fault", policy).argument("--jobs", "2").start();
        let run = async |filters: &str| {
            let settings = json!({"detectors": {"face": null, "car": small()}, "stream_data_filter": filters, "plugins": plugins_of(filters)});
            server.process_file(json!({"stream_settings": settings}), &clip).await
        };
        let (bad, good) = (run("hostile_filter").await, run("").await);
        let (bad, good) = (server.finished(bad).await, server.finished(good).await);
        assert_eq!(good["health_status"]["status"], "COMPLETED");
        assert!(good["car_count"].as_u64() > Some(0));
        assert_eq!(bad["health_status"]["status"], status, "{bad:#}");
        if policy == "fail" {
            let error = bad["error"].as_str().unwrap();
            assert!(error.contains("hostile_filter") && error.contains("shots"), "{error}");
        } else {
            let used = &bad["health_status"]["statistic"]["plugins"]["hostile_filter"];
            assert_eq!((&used["faults"], &used["evicted"]), (&json!(3), &json!(true)), "{used:#}");
            assert_eq!(bad["car_count"], good["car_count"], "a skipped call keeps everything");
            let shown = server.get("/plugins/hostile_filter/").await;
            assert_eq!(shown["used"]["faults"], 3);
            assert!(shown["used"]["last_fault"].as_str().unwrap().contains("shots"), "{shown:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tracker_is_refused_with_the_names_of_the_installed_ones() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let settings = json!({"detectors": {"face": {"tracker_type": "magic"}}});
    let error = server.create_refused(json!({"stream_settings": settings})).await;
    assert_eq!(error["param"], "stream_settings.detectors.face.tracker_type");
    let desc = error["desc"].as_str().unwrap();
    assert!(desc.contains("magic") && desc.contains("simple_iou"), "{desc}");
}
