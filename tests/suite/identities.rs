//! Covers: identities and search. A man who leaves and comes back is one identity of two tracks,
//! and a picture of him finds both. Identities belong to the job: another job of the video finds
//! the same, and deleting the video deletes them; a restart and a lost index change nothing.
//! Detections of a picture, and events, find similar events. Corrections of identities outlive a
//! kill, a lost index and another job, and names are known in other videos.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{media, server::Server};

/// A man on the telephone, two seconds of a test pattern, and the man again.
fn man_twice(dir: &Path) -> PathBuf {
    let path = dir.join("twice.mp4");
    let man = media::assets().join("media/carphone_pristine.mp4");
    let man = man.to_str().unwrap();
    let scaled = "scale=352:288,setsar=1,fps=12";
    let graph = format!(
        "[0:v]trim=0:2,setpts=PTS-STARTPTS,{scaled}[a];[1:v]{scaled}[b];[2:v]trim=2:4,setpts=PTS-STARTPTS,{scaled}[c];[a][b][c]concat=n=3"
    );
    let pause = "testsrc2=size=352x288:rate=12:duration=2";
    media::ffmpeg(
        &["-i", man, "-f", "lavfi", "-i", pause, "-i", man, "-filter_complex", &graph, "-c:v", "libx264"],
        &path,
    );
    path
}

/// A frame of the man that is not the best shot of either track.
fn picture_of_him(dir: &Path) -> Vec<u8> {
    let path = dir.join("him.png");
    let man = media::assets().join("media/carphone_pristine.mp4");
    media::ffmpeg(&["-ss", "1.3", "-i", man.to_str().unwrap(), "-frames:v", "1", "-vf", "scale=704:576"], &path);
    std::fs::read(path).unwrap()
}

/// Ids of the objects found by a picture, with their similarity.
async fn search(server: &Server, path: &str, picture: &[u8]) -> Vec<(String, f64)> {
    let answer = server.request(Method::POST, path).body(picture.to_vec()).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["looked_for"]["type"], "face", "{answer:#}");
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|r| (r["object"]["id"].as_str().unwrap().to_owned(), r["similarity"].as_f64().unwrap())).collect()
}

/// The id of the only face in a picture, which is sent as the vendor's clients do.
async fn detect(server: &Server, picture: &[u8]) -> String {
    let head = "--b\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"him.png\"\r\n\r\n";
    let form = [head.as_bytes(), picture, b"\r\n--b--\r\n"].concat();
    let request = server.request(Method::POST, "/detect").header("content-type", "multipart/form-data; boundary=b");
    let answer = request.body(form).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert_eq!(status, StatusCode::OK, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    let faces = answer["objects"]["face"].as_array().unwrap();
    let [face] = faces.as_slice() else { panic!("{answer:#}") };
    let side = |name: &str| face["bbox"][name].as_i64().unwrap();
    assert!(0 <= side("left") && side("left") < side("right") && side("right") <= 704, "{face:#}");
    assert!(0 <= side("top") && side("top") < side("bottom") && side("bottom") <= 576, "{face:#}");
    face["id"].as_str().unwrap().to_owned()
}

/// Ids of events by similarity, with their similarity.
async fn alike(server: &Server, query: &str) -> Vec<(String, f64)> {
    let events = server.get(&format!("/events/faces/?{query}")).await;
    let event = |e: &Value| (e["id"].as_str().unwrap().to_owned(), e["looks_like_confidence"].as_f64().unwrap());
    events["results"].as_array().unwrap().iter().map(event).collect()
}

async fn clusters(server: &Server, id: u64, query: &str) -> Vec<Value> {
    server.get(&format!("/videos/{id}/clusters/{query}")).await["results"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_man_who_returns_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server
        .create(json!({"stream_settings": {"detectors": {"face": {"filter_min_size": 30, "filter_min_quality": 0.1}}}}))
        .await;
    server.upload(id, &man_twice(dir.path())).await;
    assert_eq!(clusters(&server, id, "").await, Vec::<Value>::new(), "no identities before the first job");
    server.process(id).await;
    let video = server.finished(id).await;
    assert_eq!(video["health_status"]["status"], "COMPLETED", "{video:#}");
    assert_eq!((&video["face_count"], &video["face_cluster_count"]), (&json!(2), &json!(1)), "{video:#}");

    let found = clusters(&server, id, "?type=face").await;
    let [man] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!((&man["size"], &man["type"]), (&json!(2), &json!("face")), "{man:#}");
    assert!(man["first_time"].as_f64() < Some(2.0) && man["last_time"].as_f64() > Some(4.0), "{man:#}");
    let members = server.get(&format!("/clusters/{}/objects/", man["id"].as_str().unwrap())).await["results"].clone();
    let members = members.as_array().unwrap();
    assert_eq!(members.len(), 2);
    assert!(members[0]["last_time"].as_f64() < members[1]["first_time"].as_f64(), "{members:#?}");
    assert!(members.iter().any(|o| o["id"] == man["best"]) && members[0]["id"] == man["id"]);
    assert!(server.bytes(man["thumbnail"].as_str().unwrap()).await.starts_with(&[0xff, 0xd8]));
    assert!(server.objects(id).await.iter().all(|o| o["cluster"] == man["id"]));
    assert_eq!(clusters(&server, id, "?type=car").await, Vec::<Value>::new());

    // Whatever is corrected is found again in the objects of the next job.
    let path = format!("/clusters/{}/", man["id"].as_str().unwrap());
    let (named, _) = server.send(Method::PATCH, &path, json!({"name": "Karl"}).to_string()).await;
    let (taken, rest) =
        server.send(Method::POST, &format!("{path}take-out/"), json!({"object": members[0]["id"]}).to_string()).await;
    assert_eq!((named, taken), (StatusCode::OK, StatusCode::OK), "{rest:#}");
    let shown = |found: &[Value]| found.iter().map(|c| json!([c["size"], c["name"]])).collect::<Vec<_>>();
    let corrected = [json!([1, null]), json!([1, "Karl"])];
    assert_eq!(shown(&clusters(&server, id, "").await), corrected);

    server.process(id).await;
    let again = server.finished(id).await;
    assert_eq!((&again["face_count"], &again["face_cluster_count"]), (&json!(2), &json!(1)));
    assert_eq!(shown(&clusters(&server, id, "").await), corrected, "in the second job, too");
    let corrections = server.get(&format!("/videos/{id}/corrections/")).await["results"].clone();
    for correction in corrections.as_array().unwrap() {
        assert_eq!(correction["state"], "applied", "{corrections:#}");
        assert!(correction["objects"][0].as_str().unwrap().starts_with(&format!("{id}-2-")), "{corrections:#}");
    }
    let undo = format!("/videos/{id}/corrections/{}/", corrections[1]["id"]);
    assert_eq!(server.status(Method::DELETE, &undo).await, StatusCode::NO_CONTENT);
    let second = clusters(&server, id, "?type=face").await;
    assert_eq!(shown(&second), [json!([2, "Karl"])]);
    let status = async |path: &str| server.status(Method::GET, path).await;
    assert_eq!(
        status(&format!("/clusters/{}/objects/", man["id"].as_str().unwrap())).await,
        StatusCode::NOT_FOUND,
        "an identity of the earlier job"
    );

    let deleted = server.request(Method::DELETE, &format!("/videos/{id}/file/")).send().await.unwrap();
    assert!(deleted.status().is_success());
    assert_eq!(clusters(&server, id, "?type=face").await, second, "identities stay when the file is deleted");
    assert_eq!(server.status(Method::DELETE, &format!("/videos/{id}/")).await, StatusCode::NO_CONTENT);
    assert_eq!(status(&format!("/videos/{id}/clusters/")).await, StatusCode::NOT_FOUND);
    assert_eq!(
        status(&format!("/clusters/{}/objects/", second[0]["id"].as_str().unwrap())).await,
        StatusCode::NOT_FOUND
    );
    for path in ["/clusters/x/objects/", "/clusters/9-1-face-1-0/objects/"] {
        assert_eq!(status(path).await, StatusCode::NOT_FOUND, "{path}");
    }
}

/// The identity of a video that has most objects.
async fn most_seen(server: &Server, id: u64) -> Value {
    let found = server.get(&format!("/clusters/faces/?video_archive={id}")).await["results"].clone();
    found.as_array().unwrap().iter().max_by_key(|c| c["size"].as_u64()).unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_of_a_man_finds_his_objects() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let server = Server::start(&data);
    let face = json!({"stream_settings": {"detectors": {"face": {"filter_min_size": 30, "filter_min_quality": 0.1}}}});
    let (twice, once) = (server.create(face.clone()).await, server.create(face).await);
    let him = picture_of_him(dir.path());
    assert_eq!(search(&server, "/search/", &him).await, [], "no objects yet");
    server.upload(twice, &man_twice(dir.path())).await;
    server.upload(once, &media::assets().join("media/carphone_pristine.mp4")).await;
    for id in [twice, once] {
        server.process(id).await;
        assert_eq!(server.finished(id).await["health_status"]["status"], "COMPLETED");
    }

    let found = search(&server, "/search/?type=face&threshold=0.4", &him).await;
    let of =
        |id: u64| found.iter().filter(|(object, _)| object.starts_with(&format!("{id}-"))).cloned().collect::<Vec<_>>();
    assert!(of(twice).len() == 2 && !of(once).is_empty(), "{found:?}");
    assert!(
        found.is_sorted_by(|(_, a), (_, b)| a >= b) && found.iter().all(|(_, s)| (0.4..=1.0).contains(s)),
        "{found:?}"
    );
    assert_eq!(search(&server, &format!("/videos/{twice}/search/?threshold=0.4"), &him).await, of(twice));
    assert_eq!(search(&server, "/search/?limit=1", &him).await, found[..1]);
    assert_eq!(search(&server, "/search/?threshold=1", &him).await, []);

    let detection = detect(&server, &him).await;
    let looks_like = format!("looks_like=detection:{detection}&threshold=0.4");
    assert_eq!(alike(&server, &looks_like).await, found);
    assert_eq!(alike(&server, &format!("{looks_like}&video_archive={twice}")).await, of(twice));
    let events = alike(&server, &format!("looks_like={}", found[0].0)).await;
    assert_eq!((&events[0].0, events[0].1), (&found[0].0, 1.0), "it looks like itself: {events:?}");
    assert!(events.len() > 1, "{events:?}");

    // A name is known wherever somebody looks like the one who has it.
    let man = most_seen(&server, twice).await;
    let (status, man) =
        server.send(Method::PATCH, &format!("/clusters/{}/", man["id"].as_str().unwrap()), r#"{"name": "Karl"}"#).await;
    assert_eq!((status, &man["name"]), (StatusCode::OK, &json!("Karl")), "{man:#}");
    let known = json!([null, "Karl", man["id"]]);
    let named = async |server: &Server| {
        let found = most_seen(server, once).await;
        json!([found["name"], found["named_alike"]["name"], found["named_alike"]["cluster"]])
    };
    assert_eq!(named(&server).await, known);

    // Objects stay when the file is deleted, and so do their embeddings.
    server.request(Method::DELETE, &format!("/videos/{twice}/file/")).send().await.unwrap().error_for_status().unwrap();
    assert!(server.terminate().success());
    let server = Server::start(&data);
    assert_eq!(alike(&server, &format!("looks_like={}", found[0].0)).await, events, "after a restart");
    let forgotten = server.request(Method::GET, &format!("/events/faces/?{looks_like}")).send().await.unwrap();
    assert_eq!(forgotten.status(), StatusCode::BAD_REQUEST, "detections are in memory only");
    assert_eq!(search(&server, "/search/?threshold=0.4", &him).await, found, "after a restart");
    server.kill();
    std::fs::remove_dir_all(data.join("index")).unwrap();
    let server = Server::start(&data);
    assert_eq!(search(&server, "/search/?threshold=0.4", &him).await, found, "without the index");
    assert_eq!(named(&server).await, known, "without the index");

    server.process(once).await;
    server.finished(once).await;
    let again = search(&server, "/search/?threshold=0.4", &him).await;
    let second = |(object, s): (String, f64)| (object.replacen(&format!("{once}-1-"), &format!("{once}-2-"), 1), s);
    assert_eq!(
        again,
        found.iter().cloned().map(second).collect::<Vec<_>>(),
        "the same objects, with ids of the second job"
    );
    server.request(Method::DELETE, &format!("/videos/{once}/")).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(
        search(&server, "/search/?threshold=0.4", &him).await,
        of(twice),
        "objects of the deleted video are not found"
    );
}
