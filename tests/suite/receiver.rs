//! HTTP server in the process of the test that records the posts it receives.

use std::sync::{Arc, Mutex};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post, serve::Listener};
use serde_json::Value;

use crate::tls::SelfSigned;

/// One parsed post; a missing picture is empty.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub key: String,
    pub photo: Vec<u8>,
    pub normalized: Vec<u8>,
    pub first_frame: Vec<u8>,
    pub last_frame: Vec<u8>,
    pub bbox: Value,
    pub params: Value,
    pub labels: Value,
    pub bs_type: String,
    pub timestamp: String,
    pub cam_id: String,
    pub headers: HeaderMap,
    /// The unparsed body.
    pub body: Bytes,
}

#[derive(Clone)]
pub(crate) struct Receiver {
    posts: Arc<Mutex<Vec<Post>>>,
    pub url: String,
}

impl Receiver {
    /// Responds to every post with `status`, on a free port, until the test's runtime ends.
    pub(crate) async fn start(status: StatusCode) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/frame", listener.local_addr().unwrap());
        Self::serve(listener, url, status)
    }

    /// The same behind TLS, with a self-signed certificate for `localhost`.
    pub(crate) async fn self_signed() -> Self {
        let listener = SelfSigned::bind().await;
        let url = format!("https://localhost:{}/frame", listener.local_addr().unwrap().port());
        Self::serve(listener, url, StatusCode::OK)
    }

    fn serve<L: Listener<Addr: std::fmt::Debug>>(listener: L, url: String, status: StatusCode) -> Self {
        let receiver = Self { posts: Arc::default(), url };
        let app =
            Router::new().route("/frame", post(move |r, h, b| receive(r, h, b, status))).with_state(receiver.clone());
        let app = app.layer(axum::extract::DefaultBodyLimit::max(64 << 20));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        receiver
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes, status: StatusCode) -> StatusCode {
    let boundary = multer::parse_boundary(headers["content-type"].to_str().unwrap()).unwrap();
    let bytes = body.clone();
    let stream = async move { Ok::<_, std::convert::Infallible>(bytes) };
    let mut form = multer::Multipart::new(futures_util::stream::once(stream), boundary);
    let mut parts = std::collections::HashMap::new();
    while let Some(field) = form.next_field().await.unwrap() {
        let name = field.name().unwrap().to_owned();
        parts.insert(name, field.bytes().await.unwrap());
    }
    let text = |name: &str| String::from_utf8(parts[name].to_vec()).unwrap();
    let file = |name: &str| parts.get(name).map(|bytes| bytes.to_vec()).unwrap_or_default();
    let json = |name: &str| serde_json::from_slice(&parts[name]).unwrap();
    let post = Post {
        key: headers["idempotency-key"].to_str().unwrap().to_owned(),
        photo: file("photo"),
        normalized: file("normalized"),
        first_frame: file("first_frame"),
        last_frame: file("last_frame"),
        bbox: json("bbox"),
        params: json("detectorParams"),
        labels: json("labels"),
        bs_type: text("bs_type"),
        timestamp: text("timestamp"),
        cam_id: text("cam_id"),
        headers,
        body,
    };
    receiver.posts.lock().unwrap().push(post);
    status
}
