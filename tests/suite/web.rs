//! A web server with recordings, sound and otherwise. Ends when it is dropped.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{Response, StatusCode, header},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What happens to a request.
#[derive(Clone)]
pub(crate) enum Resource {
    /// Any part of it that is asked for.
    Whole(Vec<u8>),
    /// As `Whole`, but every answer breaks off after so many bytes.
    Flaky(Vec<u8>, usize),
    /// Says its whole length, sends this many bytes, and cannot send parts.
    Broken(Vec<u8>, usize),
    Redirect(String),
}

pub(crate) struct Web {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Web {
    pub(crate) async fn start(resources: impl IntoIterator<Item = (&'static str, Resource)>) -> Self {
        let resources: Arc<HashMap<String, Resource>> = Arc::new(resources.into_iter().map(|(k, v)| (k.to_owned(), v)).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = axum::Router::new().fallback(answer).with_state(resources);
        Self { address, serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }) }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(State(resources): State<Arc<HashMap<String, Resource>>>, request: Request) -> Response<Body> {
    let range = request.headers().get(header::RANGE).and_then(|v| v.to_str().ok()).and_then(|v| {
        let (start, end) = v.strip_prefix("bytes=")?.split_once('-')?;
        Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()))
    });
    let response = Response::builder();
    match resources.get(request.uri().path()) {
        None => response.status(StatusCode::NOT_FOUND).body(Body::empty()),
        Some(Resource::Redirect(to)) => response.status(StatusCode::FOUND).header(header::LOCATION, to).body(Body::empty()),
        Some(Resource::Whole(bytes)) => part(bytes, range, usize::MAX),
        Some(Resource::Flaky(bytes, most)) => part(bytes, range, *most),
        Some(Resource::Broken(bytes, most)) => {
            response.header(header::CONTENT_LENGTH, bytes.len()).body(breaking(&bytes[..*most], bytes.len()))
        }
    }
    .unwrap()
}

fn part(bytes: &[u8], range: Option<(usize, Option<usize>)>, most: usize) -> Result<Response<Body>, axum::http::Error> {
    let (start, end) = range.unwrap_or((0, None));
    let end = end.map_or(bytes.len(), |end| (end + 1).min(bytes.len()));
    let wanted = &bytes[start.min(end)..end];
    let response = Response::builder().header(header::CONTENT_LENGTH, wanted.len());
    let response = match range {
        Some(_) => response
            .status(StatusCode::PARTIAL_CONTENT)
            .header(header::CONTENT_RANGE, format!("bytes {start}-{}/{}", end.saturating_sub(1), bytes.len())),
        None => response,
    };
    response.body(breaking(&wanted[..wanted.len().min(most)], wanted.len()))
}

/// A body that gives these bytes, and then fails if they are not all.
fn breaking(bytes: &[u8], all: usize) -> Body {
    let mut items: Vec<Result<Bytes, std::io::Error>> = bytes.chunks(16 * 1024).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    if bytes.len() < all {
        items.push(Err(std::io::ErrorKind::ConnectionReset.into()));
    }
    Body::from_stream(futures_util::stream::iter(items))
}
