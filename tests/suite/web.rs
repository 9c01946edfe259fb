//! HTTP server of recordings that can truncate responses, which a real server does not do on
//! demand. Ends when dropped.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Response to a request.
pub(crate) enum Resource {
    /// The content, or the requested range of it.
    Whole(Vec<u8>),
    /// As `Whole`, but every response is cut off after this many bytes.
    Flaky(Vec<u8>, usize),
    /// Announces the whole length, sends this many bytes, and ignores ranges.
    Broken(Vec<u8>, usize),
    Redirect(String),
}

pub(crate) struct Web {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Web {
    pub(crate) async fn start(resources: impl IntoIterator<Item = (&'static str, Resource)>) -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").await.unwrap(), resources)
    }

    pub(crate) fn at(listener: TcpListener, resources: impl IntoIterator<Item = (&'static str, Resource)>) -> Self {
        let resources: Arc<HashMap<_, _>> = Arc::new(resources.into_iter().collect());
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let resources = Arc::clone(&resources);
                // Fails if the client disconnects.
                tokio::spawn(async move { answer(connection, &resources).await });
            }
        });
        Self { address, serving }
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

/// Responds to the only request of a connection.
async fn answer(connection: TcpStream, resources: &HashMap<&'static str, Resource>) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line).await? <= 2 {
            break;
        }
        head.push(line);
    }
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let range = head.iter().find_map(|line| {
        let (start, end) = line
            .to_lowercase()
            .strip_prefix("range: bytes=")?
            .trim()
            .split_once('-')
            .map(|(s, e)| (s.to_owned(), e.to_owned()))?;
        Some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()))
    });
    let (status, body) = match resources.get(path) {
        None => ("404 Not Found\r\nContent-Length: 0".to_owned(), &[][..]),
        Some(Resource::Redirect(to)) => (format!("302 Found\r\nLocation: {to}\r\nContent-Length: 0"), &[][..]),
        Some(Resource::Whole(bytes)) => part(bytes, range, usize::MAX),
        Some(Resource::Flaky(bytes, most)) => part(bytes, range, *most),
        Some(Resource::Broken(bytes, most)) => (format!("200 OK\r\nContent-Length: {}", bytes.len()), &bytes[..*most]),
    };
    connection.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    connection.write_all(body).await?;
    connection.shutdown().await
}

fn part(bytes: &[u8], range: Option<(usize, Option<usize>)>, most: usize) -> (String, &[u8]) {
    let Some((start, end)) = range else { return (format!("200 OK\r\nContent-Length: {}", bytes.len()), bytes) };
    let end = end.map_or(bytes.len(), |end| (end + 1).min(bytes.len()));
    let wanted = &bytes[start..end];
    let place = format!("Content-Range: bytes {start}-{}/{}", end - 1, bytes.len());
    (format!("206 Partial Content\r\nContent-Length: {}\r\n{place}", wanted.len()), &wanted[..wanted.len().min(most)])
}
