//! Request body that is read from a file, and moves a progress bar.

use std::{
    fs::File,
    io::{self, Read},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use indicatif::ProgressBar;

const CHUNK: usize = 256 << 10;

/// The first `left` bytes of a file.
pub(super) struct FileBody {
    file: File,
    left: u64,
    bar: ProgressBar,
}

impl FileBody {
    pub(super) fn new(file: File, bytes: u64, bar: ProgressBar) -> Self {
        Self { file, left: bytes, bar }
    }

    /// The next chunk; `None` at the end.
    fn chunk(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; CHUNK.min(usize::try_from(self.left).unwrap_or(CHUNK))];
        let read = loop {
            match self.file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter"));
        }
        chunk.truncate(read);
        self.left -= read as u64;
        self.bar.inc(read as u64);
        Ok(Some(chunk.into()))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    // Reading blocks the thread, which has nothing else to do.
    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.chunk().transpose().map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
