//! Covers: plugins in a running server. A changed file serves running and new jobs; a broken one is
//! refused with a reason and the one before goes on; plugins are installed and removed over the
//! API, over those that ship; one that fails is answered by the operator's policy and hurts no
//! other job; an unknown tracker is a 400 that names those there are.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    media,
    server::{Options, Server},
};

/// A folder of plugins of a test's own.
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

pub(crate) async fn wait_for(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < Duration::from_secs(60), "gave up waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn job_status(server: &Server, file: &Path) -> Value {
    let id = server.create(json!({})).await;
    server.upload(id, file).await;
    server.process(id).await;
    server.finished(id).await["health_status"]["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plugin_serves_the_next_job() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let file = media::pattern(dir.path(), "320x240", 1);
    let server = Options::new(&data).plugins(&plugins).start();
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let before = plugin(&server, "simple_iou").await.unwrap();

    // The same component with an empty custom section at its end: another file, another digest, the
    // same behaviour.
    let path = plugins.join("simple-iou.wasm");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0, 2, 1, b'x']);
    fs::write(&path, &bytes).unwrap();
    wait_for("the new digest", async || {
        plugin(&server, "simple_iou").await.is_some_and(|p| p["digest"] != before["digest"])
    })
    .await;
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
    let good = plugin(&server, "simple_iou").await.unwrap();

    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    wait_for("the refusal", async || server.get("/plugins/").await.to_string().contains("truncated")).await;
    assert_eq!(plugin(&server, "simple_iou").await.unwrap()["digest"], good["digest"], "the one before goes on");
    assert_eq!(job_status(&server, &file).await, "COMPLETED");
}

/// The same component, another build: a custom section more.
pub(crate) fn rebuilt(bytes: &[u8], number: u32) -> Vec<u8> {
    let name = format!("build{number:06}");
    [bytes, &[0, name.len() as u8 + 1, name.len() as u8], name.as_bytes()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_replaced_in_the_middle_of_a_job_and_taken_out_again() {
    let dir = tempfile::tempdir().unwrap();
    let (data, plugins) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&plugins);
    let server = Options::new(&data).plugins(&plugins).start();
    let clip = media::short_street(dir.path(), 150);
    let small = json!({"filter_min_size": 15, "filter_min_quality": 0.1});
    let settings = json!({"detectors": {"face": null, "car": small}, "play_speed": 1, "disable_drops": true});
    let put = async |name: &str, bytes: Vec<u8>| {
        let response = server.request(Method::PUT, &format!("/plugins/{name}/")).body(bytes).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };

    let undisturbed = server.create(json!({"stream_settings": settings})).await;
    server.upload(undisturbed, &clip).await;
    server.process(undisturbed).await;
    server.finished(undisturbed).await;

    let id = server.create(json!({"stream_settings": settings})).await;
    server.upload(id, &clip).await;
    server.process(id).await;
    let mut swaps = 0;
    for (number, name, file) in
        [(1, "simple_iou", "simple-iou"), (2, "quality", "quality"), (3, "simple_iou", "simple-iou")]
    {
        server.under_way(id, 30 * u64::from(number)).await;
        let bytes = rebuilt(&fs::read(plugins.join(format!("{file}.wasm"))).unwrap(), number);
        let (status, installed) = put(name, bytes).await;
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
        (Some("COMPLETED"), Some(150))
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
    assert_eq!(found(id).await, found(undisturbed).await, "nobody notices");

    let shown = server.get("/plugins/simple_iou/").await;
    assert_eq!(shown["digest"], used["simple_iou"]["components"][2]["digest"]);
    assert!(shown["used"]["calls"].as_u64() > Some(290), "{shown:#}");
    let (status, refused) = put("simple_iou", vec![0; 64]).await;
    assert_eq!((status, &refused["param"]), (StatusCode::BAD_REQUEST, &json!("body")), "{refused}");
    let (status, refused) = put("other_name", fs::read(plugins.join("quality.wasm")).unwrap()).await;
    assert_eq!((status, &refused["param"]), (StatusCode::BAD_REQUEST, &json!("name")), "{refused}");

    let deleted =
        async |name: &str| server.request(Method::DELETE, &format!("/plugins/{name}/")).send().await.unwrap().status();
    assert_eq!((deleted("quality").await, deleted("nobody").await), (StatusCode::NO_CONTENT, StatusCode::NOT_FOUND));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_plugins_live_in_the_data_folder_over_those_that_ship() {
    let dir = tempfile::tempdir().unwrap();
    let (data, ships) = (dir.path().join("data"), dir.path().join("plugins"));
    copy_plugins(&ships);
    let server = Options::new(&data).plugins(&ships).start();
    let shipped = server.get("/plugins/quality/").await;
    assert_eq!(shipped["origin"], "shipped");
    let bytes = fs::read(ships.join("quality.wasm")).unwrap();
    let put = async |server: &Server, number: u32| {
        let response =
            server.request(Method::PUT, "/plugins/quality/").body(rebuilt(&bytes, number)).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };
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
    assert_eq!(fs::read(ships.join("quality.wasm")).unwrap(), bytes);
    assert!(server.terminate().success());

    // It outlives the server.
    let server = Options::new(&data).plugins(&ships).start();
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
    assert_eq!(status, StatusCode::CONFLICT, "a request that is sent twice takes nothing else out: {answer}");
    assert!(ships.join("quality.wasm").exists());

    // A folder that nothing can be written to.
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

/// Guests that misbehave, as `cargo xtask build` left them.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    fs::read(media::assets().join("guests").join(name)).expect("guests are missing: run cargo xtask build")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_fails_ends_its_job_or_not_as_the_operator_says_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let clip = media::short_street(dir.path(), 60);
    let small = json!({"filter_min_size": 15, "filter_min_quality": 0.1});
    let plugins_of =
        |filters: &str| if filters.is_empty() { json!({}) } else { json!({filters: {"misdeed": "million-verdicts"}}) };
    for (policy, status) in [("fail", "INTERRUPTED"), ("skip", "COMPLETED")] {
        let (data, plugins) = (dir.path().join(format!("data-{policy}")), dir.path().join(format!("plugins-{policy}")));
        copy_plugins(&plugins);
        fs::write(plugins.join("hostile-filter.wasm"), guest("hostile-filter.wasm")).unwrap();
        let server =
            Options::new(&data).plugins(&plugins).argument("--on-plugin-fault", policy).argument("--jobs", "2").start();
        let run = async |filters: &str| {
            let settings = json!({"detectors": {"face": null, "car": small}, "stream_data_filter": filters, "plugins": plugins_of(filters)});
            let id = server.create(json!({"stream_settings": settings})).await;
            server.upload(id, &clip).await;
            server.process(id).await;
            id
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
            assert_eq!(bad["car_count"], good["car_count"], "what it would have said counts as keep");
            let shown = server.get("/plugins/hostile_filter/").await;
            assert_eq!(shown["used"]["faults"], 3);
            assert!(shown["used"]["last_fault"].as_str().unwrap().contains("shots"), "{shown:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tracker_is_refused_with_the_names_of_those_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let body =
        json!({"camera_group": 1, "name": "x", "stream_settings": {"detectors": {"face": {"tracker_type": "magic"}}}});
    let response = server.request(Method::POST, "/videos/").json(&body).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let error: Value = response.json().await.unwrap();
    assert_eq!(error["param"], "stream_settings.detectors.face.tracker_type");
    let desc = error["desc"].as_str().unwrap();
    assert!(desc.contains("magic") && desc.contains("simple_iou"), "{desc}");
}
