//! Server for bytes of URLs, fetched for a decoder process without network access. The network
//! policy is enforced here, as for this process.

use std::{
    collections::HashMap,
    io::{self, Read, Seek, SeekFrom},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    protocol::{Ask, Fetched, FoundResource},
    socket::Socket,
};
use crate::{
    Interrupt, MediaError, Result,
    http::Session,
    interrupt::Watch,
    web::{Resource, Web},
};

/// Limit of a child's open resources.
const MOST_OPEN: usize = 256;
/// Limit of the bytes of an answer.
const MOST_BYTES: u32 = 64 << 10;

/// Downloads of one child. Ends with the socket, or when dropped.
pub(super) struct WebServer {
    stop: Interrupt,
    is_asked: Arc<AtomicBool>,
}

impl WebServer {
    /// `first`: a resource that is open when the child starts. `stop` ends the watch.
    pub(super) fn start(
        socket: Socket,
        session: Arc<Session>,
        first: Box<dyn Resource>,
        watch: Watch,
        stop: Interrupt,
    ) -> Result<Self> {
        let is_asked = Arc::new(AtomicBool::new(false));
        let mut fetching = Fetching { session, watch, open: HashMap::from([(0, first)]), next: 1 };
        let asked = Arc::clone(&is_asked);
        let serve = move || {
            let mut socket = socket;
            let mut buffer = Vec::new();
            // An invalid message ends the service.
            while let Ok(Some((ask, _))) = socket.receive::<Ask>() {
                asked.store(true, Ordering::Relaxed);
                let fetched = fetching.answer(ask, &mut buffer);
                asked.store(false, Ordering::Relaxed);
                if socket.send_with(&fetched, &buffer, &[]).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new().name("fetch-for-decoder".into()).spawn(serve).map_err(MediaError::internal)?;
        Ok(Self { stop, is_asked })
    }

    /// Whether the child waits for bytes.
    pub(super) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stop.raise();
    }
}

struct Fetching {
    session: Arc<Session>,
    watch: Watch,
    open: HashMap<u32, Box<dyn Resource>>,
    next: u32,
}

impl Fetching {
    /// Replaces the content of `buffer` by the bytes of the answer.
    fn answer(&mut self, ask: Ask, buffer: &mut Vec<u8>) -> Result<Fetched> {
        buffer.clear();
        self.watch.rearm();
        match ask {
            Ask::Open { url, part } => self.open(&url, part).map(Fetched::Found),
            Ask::Read { resource, at, most } => {
                let resource = self.open.get_mut(&resource).ok_or_else(|| MediaError::internal("no such resource"))?;
                buffer.resize(most.min(MOST_BYTES) as usize, 0);
                let read = resource.seek(SeekFrom::Start(at)).and_then(|_| resource.read(buffer));
                let count = read.map_err(cause);
                buffer.truncate(*count.as_ref().unwrap_or(&0));
                count.map(|_| Fetched::Bytes)
            }
            Ask::Close { resource } => {
                self.open.remove(&resource);
                Ok(Fetched::Bytes)
            }
        }
    }

    fn open(&mut self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<FoundResource> {
        if self.open.len() >= MOST_OPEN {
            return Err(MediaError::internal("too many resources"));
        }
        let resource = Web::open(&self.session, url, part)?;
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let found = found(number, &*resource);
        self.open.insert(number, resource);
        Ok(found)
    }
}

pub(super) fn found(number: u32, resource: &dyn Resource) -> FoundResource {
    FoundResource { number, url: resource.url().to_owned(), size: resource.size(), can_seek: resource.can_seek() }
}

/// The inner `MediaError`, where there is one.
fn cause(error: io::Error) -> MediaError {
    match error.downcast::<MediaError>() {
        Ok(error) => error,
        Err(error) => MediaError::internal(error),
    }
}
