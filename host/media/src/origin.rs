//! Origin: the byte stream of a source, once it was found.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom},
    os::unix::fs::FileExt,
    sync::Arc,
};

use crate::{
    Input, Location, MediaError, Result,
    http::Session,
    interrupt::Watch,
    options::check_url,
    rtsp::{Relay, RelayTarget},
    web::{self, Found, Resource, Web},
};

/// A file, or a byte stream that can be read as one.
pub(crate) trait Bytes: Read + Seek + Send {}

impl<T: Read + Seek + Send> Bytes for T {}

pub(crate) enum Origin {
    /// An uploaded file, or the bytes of one.
    File(Box<dyn Bytes>),
    /// A copy of a download.
    Copy(Box<dyn Bytes>),
    Web(Arc<dyn Web>, Box<dyn Resource>),
    /// An RTSP relay, to which FFmpeg connects.
    Rtsp(RelayTarget),
}

/// Finds the bytes of a source, each time that the source is opened.
pub(crate) type Find = Arc<dyn Fn(&Watch) -> Result<Origin> + Send + Sync>;

/// Finds them at the input's location.
pub(crate) fn of(input: &Input) -> Find {
    let input = input.clone();
    Arc::new(move |watch| match &input.location {
        Location::File(path) => Ok(Origin::File(Box::new(Positioned::new(open(path)?)))),
        Location::Memory(bytes) => Ok(Origin::File(Box::new(Cursor::new(Arc::clone(bytes))))),
        Location::Url(url) => {
            let url = check_url(url)?;
            if input.location.is_rtsp() {
                let relay = Relay::open(&input.network, &input.options, url, watch)?;
                let url = relay.url().to_owned();
                return Ok(Origin::Rtsp(RelayTarget { url, connected: Arc::new(|| true), relay: Some(relay) }));
            }
            let session = Session::new(&input.network, &input.options, watch)?;
            Ok(match web::find(&session, url.as_str(), input.spool.as_deref(), watch)? {
                Found::Copy(file) => Origin::Copy(Box::new(Positioned::new(file))),
                Found::Body(body) => Origin::Web(Arc::new(session), body),
            })
        }
    })
}

/// Opens a regular file.
pub(crate) fn open(path: &std::path::Path) -> Result<File> {
    let file = File::open(path)
        .and_then(|file| if file.metadata()?.is_file() { Ok(file) } else { Err(io::ErrorKind::InvalidInput.into()) });
    file.map_err(|e| MediaError::NotFound(e.into()))
}

/// The watch for reads of an input's location.
pub(crate) fn watch(input: &Input, interrupt: &crate::Interrupt) -> Watch {
    match input.location {
        Location::Url(_) => Watch::network(interrupt),
        Location::File(_) | Location::Memory(_) => Watch::file(interrupt),
    }
}

/// Opens the bytes of an input again, where they are a file or in memory.
pub(crate) fn file(input: &Input, find: &Find, watch: &Watch) -> Option<Box<dyn Bytes>> {
    if matches!(input.location, Location::Url(_)) {
        return None;
    }
    match find(watch) {
        Ok(Origin::File(bytes)) => Some(bytes),
        _ => None,
    }
}

/// A file with its own read position, so that others can read the same file.
#[derive(Clone)]
pub(crate) struct Positioned {
    file: Arc<File>,
    at: u64,
}

impl Positioned {
    pub(crate) fn new(file: impl Into<Arc<File>>) -> Self {
        Self { file: file.into(), at: 0 }
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
            SeekFrom::End(n) => self.file.metadata()?.len().checked_add_signed(n),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
