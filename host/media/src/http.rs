//! HTTP sources, read as if they were files.
//!
//! FFmpeg's HTTP client is not used, since it resolves names and follows redirects without checks.
//! A [`Session`] belongs to one source and ends with it; a [`Body`] is one resource, and playlists
//! open several. Each read gives up within a second of its [`Watch`] saying so. A body that breaks
//! off is resumed from there, if the server supports ranges.

use std::{
    future::Future,
    io::{self, Read, Seek, SeekFrom},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use ocellus_core::NetworkPolicy;
use parking_lot::Mutex;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_RANGE, LOCATION, RANGE, REFERER, USER_AGENT},
};
use tokio::runtime::Runtime;
use url::Url;

use crate::{
    MediaError, Result,
    credentials::Credentials,
    error::UrlError,
    interrupt::Watch,
    network::{self, guard_client},
};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval at which a wait checks its watch.
pub(crate) const TICK: Duration = Duration::from_millis(100);
const MAX_REDIRECTS: usize = 10;
/// Attempts to resume a body that broke off, before the source counts as broken; each byte received
/// resets the count.
const RECONNECTS: u32 = 5;
/// Pause before the first attempt; doubled for each further one.
const BACKOFF: Duration = Duration::from_millis(250);
/// Bytes up to which skipping is cheaper than a new request.
const SKIP: u64 = 256 * 1024;

/// State shared by all resources of a source.
pub(crate) struct Session {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    client: Client,
    policy: NetworkPolicy,
    watch: Watch,
    options: Options,
    /// User name and password of the URL, for its own server.
    credentials: Mutex<Option<Credentials>>,
    /// The server refused a range request.
    no_parts: AtomicBool,
    /// Reason of the first refused resource.
    refused: Mutex<Option<String>>,
}

/// The HTTP options in `ffmpeg_params`.
struct Options {
    user_agent: Option<String>,
    referer: Option<String>,
    seekable: bool,
    reconnect: bool,
}

impl Session {
    pub(crate) fn new(policy: &NetworkPolicy, options: &[(String, String)], watch: &Watch) -> Result<Arc<Self>> {
        let option = |name: &str| options.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let is_off = |name: &str| option(name).is_some_and(|value| value == "0");
        let builder = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            // Some servers set a cookie with a redirect and refuse clients that come back without
            // it.
            .cookie_store(true)
            .danger_accept_invalid_certs(is_off("tls_verify"));
        let client = guard_client(builder, policy).build().map_err(MediaError::internal)?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(MediaError::internal)?;
        Ok(Arc::new(Self {
            runtime: Some(runtime),
            client,
            policy: policy.clone(),
            watch: watch.clone(),
            options: Options {
                user_agent: option("user_agent"),
                referer: option("referer"),
                seekable: !is_off("seekable"),
                reconnect: !is_off("reconnect"),
            },
            credentials: Mutex::default(),
            no_parts: AtomicBool::new(false),
            refused: Mutex::new(None),
        }))
    }

    /// Waits for `future`, at most as long as the watch allows.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let runtime = self.runtime.as_ref().ok_or_else(|| MediaError::internal("no runtime"))?;
        runtime.block_on(async {
            let mut future = pin!(future);
            loop {
                if self.watch.is_interrupted() {
                    return Err(MediaError::Interrupted);
                }
                if self.watch.is_overdue() {
                    return Err(MediaError::Stalled);
                }
                if let Ok(done) = tokio::time::timeout(TICK, &mut future).await {
                    return Ok(done);
                }
            }
        })
    }

    /// The allowed addresses of a URL's host.
    fn resolve(&self, url: &Url) -> Result<Vec<std::net::SocketAddr>> {
        let host = url.host_str().ok_or_else(|| MediaError::refused("The source URL has no host."))?;
        Ok(self.wait(network::lookup(&self.policy, host, network::port_of(url)))??)
    }

    /// Opens a resource, following redirects. `part`: only the bytes of this range.
    pub(crate) fn open(self: &Arc<Self>, url: &str, part: Option<(u64, Option<u64>)>) -> Result<Body> {
        let mut url = Url::parse(url).map_err(|e| MediaError::Unreachable(UrlError::Malformed(e.into())))?;
        if let Some(own) = Credentials::take_from(&mut url) {
            *self.credentials.lock() = Some(own);
        }
        let (start, end) = part.unwrap_or_default();
        let mut body = Body {
            session: Arc::clone(self),
            url,
            position: start,
            end,
            size: None,
            can_seek: false,
            stream: None,
            at: start,
            chunk: Bytes::new(),
            failures: 0,
        };
        body.request()?;
        Ok(body)
    }

    /// Remembers why a resource was refused to FFmpeg.
    pub(crate) fn note_refusal(&self, error: &MediaError) {
        if let MediaError::Refused { what } = error {
            self.refused.lock().get_or_insert_with(|| what.clone());
        }
    }

    pub(crate) fn refusal(&self) -> Option<MediaError> {
        self.refused.lock().clone().map(MediaError::refused)
    }

    /// Requests the bytes from `start` on, and returns the URL after redirects and the response.
    fn get(&self, mut url: Url, start: u64, end: Option<u64>) -> Result<(Url, Response)> {
        let mut redirects = 0;
        let mut identified = false;
        loop {
            if !matches!(url.scheme(), "http" | "https") {
                return Err(MediaError::refused("The source leads to a URL that is neither http nor https."));
            }
            // The client checks addresses again when it connects, without knowing the port.
            self.resolve(&url)?;
            let response = self.ask(&url, start, end)?;
            let status = response.status();
            if status.is_success() {
                return Ok((url, response));
            }
            if status == StatusCode::UNAUTHORIZED && !identified && self.is_challenged(&url, &response) {
                identified = true;
                continue;
            }
            // Some servers answer so to any range, even that of the whole resource.
            if status == StatusCode::RANGE_NOT_SATISFIABLE
                && start == 0
                && end.is_none()
                && !self.no_parts.swap(true, Ordering::Relaxed)
            {
                continue;
            }
            let target =
                response.headers().get(LOCATION).filter(|_| status.is_redirection()).and_then(|l| l.to_str().ok());
            url = target
                .and_then(|target| url.join(target).ok())
                .ok_or(MediaError::Unreachable(UrlError::Status(status.as_u16())))?;
            redirects += 1;
            if redirects > MAX_REDIRECTS {
                return Err(MediaError::Unreachable(UrlError::Redirects { most: MAX_REDIRECTS }));
            }
        }
    }

    /// Sends one request; any response is a success.
    fn ask(&self, url: &Url, start: u64, end: Option<u64>) -> Result<Response> {
        let mut request = self.client.get(url.clone());
        let parts = self.options.seekable && !self.no_parts.load(Ordering::Relaxed);
        if parts || start > 0 || end.is_some() {
            let end = end.map(|end| end.saturating_sub(1).to_string()).unwrap_or_default();
            request = request.header(RANGE, format!("bytes={start}-{end}"));
        }
        for (name, value) in [(USER_AGENT, &self.options.user_agent), (REFERER, &self.options.referer)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        if let Some(own) = self.credentials.lock().as_mut() {
            request = own.identify(request, url);
        }
        match self.wait(request.send()) {
            Ok(answered) => answered.map_err(failed),
            Err(MediaError::Stalled) => Err(MediaError::Unreachable(UrlError::TimedOut("no answer".into()))),
            Err(error) => Err(error),
        }
    }

    /// Whether a response is an authentication challenge that can be answered.
    fn is_challenged(&self, url: &Url, response: &Response) -> bool {
        let mut own = self.credentials.lock();
        own.as_mut().is_some_and(|own| own.take_challenge(url, response.headers()))
    }
}

/// The user's error for a request without a response.
fn failed(error: reqwest::Error) -> MediaError {
    if let Some(refused) = network::refusal(&error) {
        return refused.into();
    }
    let error = error.without_url();
    MediaError::Unreachable(if let Some(what) = network::tls_failure(&error) {
        UrlError::Tls { what, cause: error.into() }
    } else if error.is_timeout() {
        UrlError::TimedOut(error.into())
    } else if error.is_connect() {
        UrlError::NotConnected(error.into())
    } else {
        UrlError::Other(error.into())
    })
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A name lookup may still be running, which cannot be cancelled.
            runtime.shutdown_background();
        }
    }
}

/// One resource.
pub(crate) struct Body {
    session: Arc<Session>,
    url: Url,
    /// Offset of the next read.
    position: u64,
    /// End of the requested range.
    end: Option<u64>,
    size: Option<u64>,
    pub(crate) can_seek: bool,
    stream: Option<Response>,
    /// Offset of the first byte of `chunk`, or of `stream` where `chunk` is empty.
    at: u64,
    chunk: Bytes,
    failures: u32,
}

impl Body {
    /// URL after redirects.
    pub(crate) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Size in bytes, where the server declares it.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// The first bytes, at most `most`, without consuming them.
    pub(crate) fn peek(&mut self, most: usize) -> Result<Bytes> {
        let mut ahead = BytesMut::new();
        while ahead.len() < most {
            let Some(stream) = &mut self.stream else { break };
            match self.session.wait(stream.chunk())? {
                Ok(Some(chunk)) => ahead.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => {
                    return Err(MediaError::Unreachable(UrlError::NotConnected(error.without_url().into())));
                }
            }
        }
        self.chunk = ahead.freeze();
        Ok(self.chunk.slice(..self.chunk.len().min(most)))
    }

    /// Requests the bytes from `position` on.
    fn request(&mut self) -> Result<()> {
        let (url, response) = self.session.get(self.url.clone(), self.position, self.end)?;
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let size = if is_part {
            let range =
                response.headers().get(CONTENT_RANGE).and_then(|v| v.to_str().ok()).and_then(parse_content_range);
            match range {
                Some((start, size)) if start == self.position => size,
                _ => return Err(MediaError::bad_answer("its server sends another range than requested")),
            }
        } else if self.position > 0 {
            return Err(MediaError::bad_answer("its server does not support range requests"));
        } else {
            response.content_length()
        };
        if self.size.is_some() && self.size != size {
            return Err(MediaError::bad_answer("it has changed while it was read"));
        }
        self.size = size;
        self.can_seek = is_part && size.is_some() && self.session.options.seekable;
        self.url = url;
        (self.stream, self.at, self.chunk) = (Some(response), self.position, Bytes::new());
        Ok(())
    }

    fn stop(&self) -> Option<u64> {
        [self.end, self.size].into_iter().flatten().min()
    }

    /// Receives bytes into `chunk`; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        loop {
            let ahead = self.position.checked_sub(self.at);
            match ahead {
                Some(ahead) if ahead < self.chunk.len() as u64 => {
                    self.chunk.advance(usize::try_from(ahead).unwrap_or(0));
                    self.at = self.position;
                    return Ok(true);
                }
                Some(ahead) if ahead <= SKIP => {
                    self.at += self.chunk.len() as u64;
                    self.chunk = Bytes::new();
                }
                _ => self.stream = None,
            }
            if self.stop().is_some_and(|stop| self.position >= stop) {
                return Ok(false);
            }
            let broken = match &mut self.stream {
                Some(stream) => match self.session.wait(stream.chunk())? {
                    Ok(Some(chunk)) => {
                        (self.chunk, self.failures) = (chunk, 0);
                        continue;
                    }
                    Ok(None) if self.stop().is_none() => return Ok(false),
                    Ok(None) => MediaError::bad_answer("its body ends early"),
                    Err(error) => MediaError::Unreachable(UrlError::NotConnected(error.without_url().into())),
                },
                None => match self.request() {
                    Ok(()) => continue,
                    Err(error @ MediaError::Unreachable(_)) => error,
                    Err(error) => return Err(error),
                },
            };
            self.stream = None;
            if !self.can_seek || !self.session.options.reconnect || self.failures >= RECONNECTS {
                return Err(broken);
            }
            let pause = BACKOFF * 2_u32.pow(self.failures);
            // A timer can only be made within the runtime.
            self.session.wait(async { tokio::time::sleep(pause).await })?;
            self.failures += 1;
        }
    }

    /// The next bytes; `None` at the end.
    pub(crate) fn next_bytes(&mut self) -> Result<Option<Bytes>> {
        if !self.fill()? {
            return Ok(None);
        }
        let bytes = std::mem::take(&mut self.chunk);
        self.position += bytes.len() as u64;
        self.at = self.position;
        Ok(Some(bytes))
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.fill() {
            Ok(false) => Ok(0),
            Ok(true) => {
                let left =
                    self.stop().map_or(usize::MAX, |stop| usize::try_from(stop - self.position).unwrap_or(usize::MAX));
                let count = self.chunk.len().min(buffer.len()).min(left);
                self.chunk.copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
                self.position += count as u64;
                self.at = self.position;
                Ok(count)
            }
            Err(error) => {
                self.session.note_refusal(&error);
                Err(io::Error::other(error))
            }
        }
    }
}

impl Seek for Body {
    /// Takes effect at the next read.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.position.checked_add_signed(n),
            SeekFrom::End(n) => self.size.and_then(|size| size.checked_add_signed(n)),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// Parses `bytes 5-9/10` to the start of the range, and the total size where it is given.
fn parse_content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, size.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(parse_content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(parse_content_range("bytes 0-9/*"), Some((0, None)));
        for bad in ["", "bytes */10", "items 0-1/2", "bytes x-1/2"] {
            assert_eq!(parse_content_range(bad), None, "{bad:?}");
        }
    }
}
