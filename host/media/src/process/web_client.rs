//! Client for bytes of URLs in a decoder process: the server fetches them.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    protocol::{Ask, Fetched, FoundResource},
    socket::Socket,
};
use crate::{
    Interrupt, MediaError, Result,
    web::{Resource, Web},
};

/// Bytes of a request.
const CHUNK: u32 = 64 << 10;

/// Connection to the server.
pub(super) struct WebClient {
    socket: Mutex<Socket>,
    /// Raised where the server reports an interrupt here before `control` does.
    interrupt: Interrupt,
    refused: Mutex<Option<String>>,
}

impl WebClient {
    pub(super) fn new(socket: Socket, interrupt: Interrupt) -> Self {
        Self { socket: Mutex::new(socket), interrupt, refused: Mutex::default() }
    }

    /// Sends a request, and replaces the content of `to` by the bytes of the answer.
    fn ask(&self, ask: &Ask, to: &mut Vec<u8>) -> Result<Fetched> {
        let mut socket = self.socket.lock();
        socket.send(ask).map_err(MediaError::internal)?;
        let fetched = socket.receive::<Result<Fetched>>().map_err(MediaError::internal)?;
        let (fetched, bytes) = fetched.ok_or(MediaError::Interrupted)?;
        to.clear();
        to.extend_from_slice(bytes);
        if matches!(fetched, Err(MediaError::Interrupted)) {
            self.interrupt.raise();
        }
        fetched
    }
}

/// A resource that the server has open.
pub(super) struct RemoteResource {
    web: Arc<WebClient>,
    found: FoundResource,
    position: u64,
    /// Read-ahead buffer: its offset and bytes.
    ahead: (u64, Vec<u8>),
}

impl RemoteResource {
    pub(super) fn new(web: Arc<WebClient>, found: FoundResource, position: u64) -> Self {
        Self { web, found, position, ahead: (0, Vec::new()) }
    }

    /// Buffered bytes from the present position on.
    fn ready(&self) -> &[u8] {
        let (start, bytes) = &self.ahead;
        let skipped = self.position.checked_sub(*start).and_then(|n| usize::try_from(n).ok());
        skipped.and_then(|n| bytes.get(n..)).unwrap_or_default()
    }
}

impl Read for RemoteResource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ready().is_empty() {
            let ask = Ask::Read { resource: self.found.number, at: self.position, most: CHUNK };
            let mut bytes = std::mem::take(&mut self.ahead.1);
            let fetched = self.web.ask(&ask, &mut bytes);
            self.ahead = (self.position, bytes);
            if let Err(error) = fetched {
                self.web.as_ref().note(&error);
                return Err(io::Error::other(error));
            }
        }
        let ready = self.ready();
        let count = ready.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for RemoteResource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.position.checked_add_signed(n),
            SeekFrom::End(n) => self.found.size.and_then(|size| size.checked_add_signed(n)),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

impl Resource for RemoteResource {
    fn url(&self) -> &str {
        &self.found.url
    }

    fn size(&self) -> Option<u64> {
        self.found.size
    }

    fn can_seek(&self) -> bool {
        self.found.can_seek
    }
}

impl Drop for RemoteResource {
    fn drop(&mut self) {
        // Fails where the server is gone.
        let _ = self.web.ask(&Ask::Close { resource: self.found.number }, &mut Vec::new());
    }
}

impl WebClient {
    fn note(&self, error: &MediaError) {
        if let MediaError::Refused { what } = error {
            self.refused.lock().get_or_insert_with(|| what.clone());
        }
    }
}

impl Web for Arc<WebClient> {
    fn open(&self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<Box<dyn Resource>> {
        let fetched = self.ask(&Ask::Open { url: url.to_owned(), part }, &mut Vec::new())?;
        let Fetched::Found(found) = fetched else { return Err(MediaError::internal("an answer of the wrong kind")) };
        let start = part.map_or(0, |(start, _)| start);
        Ok(Box::new(RemoteResource::new(Self::clone(self), found, start)))
    }

    fn note_refusal(&self, error: &MediaError) {
        self.note(error);
    }

    fn refusal(&self) -> Option<MediaError> {
        self.refused.lock().clone().map(MediaError::refused)
    }
}
