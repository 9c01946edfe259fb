//! Resources of one source on the web, wherever they are fetched: in this process, or by the server
//! for a process that has no network.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
    sync::Arc,
};

use crate::{
    MediaError, Result,
    http::{Body, Session},
    interrupt::Watch,
    spool,
};

/// What opens resources for a demuxer, and remembers what it refused to open.
pub(crate) trait Web: Send + Sync {
    /// `part`: only the bytes of this range.
    fn open(&self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<Box<dyn Resource>>;
    fn note_refusal(&self, error: &MediaError);
    fn refusal(&self) -> Option<MediaError>;
}

/// One resource. Seeking costs nothing; the next read carries it out.
pub(crate) trait Resource: Read + Seek + Send {
    /// Where it was found.
    fn url(&self) -> &str;
    /// Bytes, where the server says how many.
    fn size(&self) -> Option<u64>;
    fn can_seek(&self) -> bool;
}

impl Web for Arc<Session> {
    fn open(&self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<Box<dyn Resource>> {
        Ok(Box::new(Session::open(self, url, part)?))
    }

    fn note_refusal(&self, error: &MediaError) {
        Session::note_refusal(self, error);
    }

    fn refusal(&self) -> Option<MediaError> {
        Session::refusal(self)
    }
}

impl Resource for Body {
    fn url(&self) -> &str {
        Self::url(self)
    }

    fn size(&self) -> Option<u64> {
        Self::size(self)
    }

    fn can_seek(&self) -> bool {
        self.can_seek
    }
}

/// What a URL leads to.
pub(crate) enum Found {
    Body(Box<Body>),
    /// A copy, since it cannot be read in the order in which it comes.
    Copy(File),
}

/// Opens a URL; `spool` is the folder for a copy.
pub(crate) fn find(session: &Arc<Session>, url: &str, spool: Option<&Path>, watch: &Watch) -> Result<Found> {
    let mut body = session.open(url, None)?;
    if !spool::is_needed(&mut body)? {
        return Ok(Found::Body(Box::new(body)));
    }
    let folder = spool.map_or_else(std::env::temp_dir, Path::to_owned);
    spool::copy(body, &folder, watch).map(Found::Copy)
}
