//! Body of an upload, written to a file as it arrives.
//!
//! Owns the loop over a body of any size: it passes through a buffer of constant size, and no
//! thread is held while the client is slow.

use ocellus_core::Result;

use crate::{blocking, body::too_large, file_body::FileBody};

/// Bytes that are gathered before a thread writes them.
const BUFFER_BYTES: usize = 1 << 20;

/// A file that takes the bytes of a body.
pub(super) trait Sink: Send + 'static {
    /// Appends bytes. Blocks.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Called once after the last bytes, also those of a body that breaks off. Blocks.
    fn end(&mut self) -> Result<()>;
}

/// Writes all of a body; returns the sink and how many bytes came.
///
/// # Errors
/// Of [`FileBody::next`] and of the sink; `TooLarge` for more than `most` bytes. Bytes
/// before an error are written, unless the error is one of writing.
pub(super) async fn receive<S: Sink>(mut sink: S, mut body: FileBody, most: u64) -> Result<(S, u64)> {
    let (mut buffer, mut received) = (Vec::with_capacity(BUFFER_BYTES), 0);
    loop {
        let chunk = body.next().await.and_then(|chunk| match chunk {
            Some(chunk) if chunk.len() as u64 > most - received => Err(too_large(most)),
            chunk => Ok(chunk),
        });
        let is_last = !matches!(chunk, Ok(Some(_)));
        if let Ok(Some(chunk)) = &chunk {
            received += chunk.len() as u64;
            buffer.extend_from_slice(chunk);
        }
        if is_last || buffer.len() >= BUFFER_BYTES {
            (sink, buffer) = blocking(move || {
                sink.append(&buffer)?;
                if is_last {
                    sink.end()?;
                }
                buffer.clear();
                Ok((sink, buffer))
            })
            .await?;
        }
        if chunk?.is_none() {
            return Ok((sink, received));
        }
    }
}
