//! Covers: the stream of events: videos, objects and deliveries in it, reconnecting clients, and
//! its end.

use ocellus_store::{Delivery, DeliveryState, NewToken, Scope, Tokens};
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::{
    objects,
    server::{Server, TOKEN},
};

/// A parsed event.
#[derive(Debug)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

struct Stream {
    response: Response,
    unread: String,
    last_id: String,
}

impl Stream {
    async fn open(server: &Server, last_id: Option<&str>) -> Self {
        Self::open_by(server, TOKEN, last_id).await
    }

    async fn open_by(server: &Server, token: &str, last_id: Option<&str>) -> Self {
        let request = server.request(Method::GET, "/events/stream/").bearer_auth(token);
        let request = request.header("accept", "text/event-stream").header("accept-encoding", "gzip");
        let request = last_id.into_iter().fold(request, |request, id| request.header("last-event-id", id));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert!(!response.headers().contains_key("content-encoding"), "compression would delay events");
        let mut stream = Self { response, unread: String::new(), last_id: String::new() };
        let first = stream.block().await.unwrap();
        assert!(first.contains("retry: "), "{first}");
        stream.last_id = value(&first, "id").unwrap();
        stream
    }

    /// The next lines up to an empty one; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.unread.split_once("\n\n") {
                let block = block.to_owned();
                self.unread = rest.to_owned();
                return Some(block);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.unread.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            let block = self.block().await?;
            // Comments have none.
            let Some(name) = value(&block, "event") else { continue };
            let event = Event {
                id: value(&block, "id").unwrap(),
                name,
                data: serde_json::from_str(&value(&block, "data").unwrap()).unwrap(),
            };
            self.last_id.clone_from(&event.id);
            return Some(event);
        }
    }

    /// The next event with this name that matches.
    async fn find(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        loop {
            let event = self.next().await.expect("the stream ended");
            if event.name == name && wanted(&event.data) {
                return event;
            }
        }
    }
}

fn value(block: &str, field: &str) -> Option<String> {
    let of = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(": ")?.to_owned());
    block.lines().find_map(of)
}

#[tokio::test(flavor = "multi_thread")]
async fn videos_are_shown_as_their_own_requests_show_them() {
    let server = Server::start().await;
    let (mut one, mut two) = (Stream::open(&server, None).await, Stream::open(&server, None).await);
    let id = server.add("made").await;
    for stream in [&mut one, &mut two] {
        let made = stream.find("video", |video| video["name"] == "made").await;
        assert_eq!(made.data, server.video(id).await);
    }
    server.patch(&format!("/videos/{id}/"), json!({"name": "changed"})).await.expect(200);
    let changed = one.find("video", |video| video["id"] == id).await;
    assert_eq!(changed.data["name"], "changed");
    server.delete(&format!("/videos/{id}/")).await.expect(204);
    assert_eq!(one.find("video_deleted", |_| true).await.data, json!({"id": id}));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_and_deliveries_come_as_they_are_made() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server, None).await;
    let router = json!({"router_url": "http://127.0.0.1:1/"});
    let (video, job, ids) = objects::in_job(&server, &["face", "car"], &router).await;
    let listed = server.get(&format!("/videos/{video}/objects/")).await.expect(200).json();
    for object in listed["results"].as_array().unwrap() {
        assert_eq!(stream.find("object", |_| true).await.data, *object);
    }
    let pending = Delivery::pending(ids[1].parse().unwrap());
    job.record_delivery(&Delivery { state: DeliveryState::Posted, last_status: Some(202), ..pending }).unwrap();
    let posted = stream.find("delivery", |delivery| delivery["object"] == ids[1]).await;
    assert_eq!(posted.data, json!({"video": video, "object": ids[1], "state": "posted", "status": 202}));
    // Its video has other counts now.
    stream.find("video", |shown| shown["id"] == video).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reconnects_gets_the_events_since() {
    let server = Server::start().await;
    let mut stream = Stream::open(&server, None).await;
    let at_first = stream.last_id.clone();
    server.add("a").await;
    let a = stream.find("video", |video| video["name"] == "a").await;
    drop(stream);
    server.add("b").await;
    for (after, expected) in [(&a.id, "b"), (&at_first, "a")] {
        let mut again = Stream::open(&server, Some(after)).await;
        let event = again.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["name"]), ("video", &json!(expected)));
    }
    for unknown in ["1-1", "nonsense"] {
        let mut again = Stream::open(&server, Some(unknown)).await;
        let event = again.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data), ("reset", &json!({})));
        server.add("c").await;
        again.find("video", |video| video["name"] == "c").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_with_its_token_and_with_the_server() {
    let server = Server::start().await;
    let tokens = Tokens::new(&server.data());
    let new = NewToken { name: "page".into(), scope: Scope::Read, expires: None, session: None };
    tokens.add(new, "secret-of-page-1", ocellus_core::Timestamp::now()).unwrap();
    let mut stream = Stream::open_by(&server, "secret-of-page-1", None).await;
    server.add("a").await;
    stream.find("video", |_| true).await;
    tokens.revoke("page").unwrap();
    server.add("b").await;
    assert!(stream.next().await.is_none());

    let mut stream = Stream::open(&server, None).await;
    let ended = tokio::spawn(async move { while stream.next().await.is_some() {} });
    server.stop().await;
    ended.await.unwrap();
}
