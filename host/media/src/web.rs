//! HTTP resources of one source: fetched in this process, or by the server for a decoder process
//! without network access.

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

/// Opens resources for a demuxer, and remembers the first refusal.
pub(crate) trait Web: Send + Sync {
    /// `part`: only the bytes of this range.
    fn open(&self, url: &str, part: Option<(u64, Option<u64>)>) -> Result<Box<dyn Resource>>;
    fn note_refusal(&self, error: &MediaError);
    fn refusal(&self) -> Option<MediaError>;
}

/// One resource. Seeking takes effect at the next read.
pub(crate) trait Resource: Read + Seek + Send {
    /// URL after redirects.
    fn url(&self) -> &str;
    /// Size in bytes, where the server declares it.
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

/// Content of a URL.
pub(crate) enum Found {
    Body(Box<Body>),
    /// A copy, for reading out of order.
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
