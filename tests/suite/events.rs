//! Covers: the stream of events while a real job runs: its status, its progress, its objects; and
//! that open streams end with the server.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    media,
    server::{Server, small},
};

#[tokio::test]
async fn the_stream_follows_a_job_from_its_beginning_to_its_end() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut stream = server.request(Method::GET, "/events/stream/").send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let settings = json!({"stream_settings": {"detectors": {"body": small(), "car": small()}}});
    let id = server.process_file(settings, &media::short_street(data.path(), 120)).await;

    let (mut unread, mut videos, mut objects) = (String::new(), Vec::<Value>::new(), Vec::<Value>::new());
    while videos.last().is_none_or(|video| video["finished"] != true) {
        let chunk = stream.chunk().await.unwrap().expect("the stream ended");
        unread.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((block, rest)) = unread.split_once("\n\n") {
            let of = |field: &str| block.lines().find_map(|line| line.strip_prefix(field));
            let data = of("data: ").map(|data| serde_json::from_str(data).unwrap());
            match (of("event: "), data) {
                (Some("video"), Some(video)) => videos.push(video),
                (Some("object"), Some(object)) => objects.push(object),
                (Some("reset"), _) => panic!("nothing was missed"),
                _ => {}
            }
            unread = rest.to_owned();
        }
    }
    assert!(videos.iter().all(|video| video["id"] == id));
    assert!(videos.iter().any(|video| video["queued"] == true || video["active"] == true));
    let (last, asked) = (videos.last().unwrap(), server.video(id).await);
    for key in ["health_status", "car_count", "body_count", "source_len", "progress", "finished"] {
        let of = |video: &Value| if key == "health_status" { video[key]["status"].clone() } else { video[key].clone() };
        assert_eq!(of(last), of(&asked), "{key}");
    }
    let mut listed = server.objects(id).await;
    // Identities are known at the end.
    listed.iter_mut().for_each(|object| object["cluster"] = Value::Null);
    assert!(!objects.is_empty());
    assert_eq!(objects, listed);

    assert!(server.terminate().success());
    // The stream ends properly, before connections are aborted at the end of the grace time.
    while stream.chunk().await.unwrap().is_some() {}
}
