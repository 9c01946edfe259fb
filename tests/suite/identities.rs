//! Covers: the same face is counted once. A man who goes and comes back is one individual with two appearances, and another
//! picture between them is none; what was found goes with the job: processed again it is the same, deleted it is gone.

use std::path::{Path, PathBuf};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{media, server::Server};

/// A man on the telephone, two seconds of a test picture, and the man again.
fn man_twice(dir: &Path) -> PathBuf {
    let path = dir.join("twice.mp4");
    let man = media::assets().join("media/carphone_pristine.mp4");
    let man = man.to_str().unwrap();
    let scaled = "scale=352:288,setsar=1,fps=12";
    let graph = format!(
        "[0:v]trim=0:2,setpts=PTS-STARTPTS,{scaled}[a];[1:v]{scaled}[b];[2:v]trim=2:4,setpts=PTS-STARTPTS,{scaled}[c];[a][b][c]concat=n=3"
    );
    let pause = "testsrc2=size=352x288:rate=12:duration=2";
    media::ffmpeg(&["-i", man, "-f", "lavfi", "-i", pause, "-i", man, "-filter_complex", &graph, "-c:v", "libx264"], &path);
    path
}

async fn clusters(server: &Server, id: u64, query: &str) -> Vec<Value> {
    server.get(&format!("/videos/{id}/clusters/{query}")).await["results"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_man_who_comes_back_is_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"));
    let id = server.create(json!({"stream_settings": {"detectors": {"face": {"filter_min_size": 30, "filter_min_quality": 0.1}}}})).await;
    server.upload(id, &man_twice(dir.path())).await;
    assert_eq!(clusters(&server, id, "").await, Vec::<Value>::new(), "nobody before the first job");
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

    server.process(id).await;
    let again = server.finished(id).await;
    assert_eq!((&again["face_count"], &again["face_cluster_count"]), (&json!(2), &json!(1)));
    let second = clusters(&server, id, "?type=face").await;
    assert_eq!((second.len(), &second[0]["size"]), (1, &json!(2)));
    let gone = async |path: &str| server.request(Method::GET, path).send().await.unwrap().status();
    assert_eq!(gone(&format!("/clusters/{}/objects/", man["id"].as_str().unwrap())).await, StatusCode::NOT_FOUND, "of the job before");

    let deleted = server.request(Method::DELETE, &format!("/videos/{id}/file/")).send().await.unwrap();
    assert!(deleted.status().is_success());
    assert_eq!(clusters(&server, id, "?type=face").await, second, "objects stay without the file");
    let deleted = server.request(Method::DELETE, &format!("/videos/{id}/")).send().await.unwrap();
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    assert_eq!(gone(&format!("/videos/{id}/clusters/")).await, StatusCode::NOT_FOUND);
    assert_eq!(gone(&format!("/clusters/{}/objects/", second[0]["id"].as_str().unwrap())).await, StatusCode::NOT_FOUND);
    for path in ["/clusters/x/objects/", "/clusters/9-1-face-1-0/objects/"] {
        assert_eq!(gone(path).await, StatusCode::NOT_FOUND, "{path}");
    }
}
