//! Reader of single frames of a source that was decoded before.
//!
//! Guarantees: a returned frame is the one with that index. The reader seeks by the frame's time,
//! and accepts a frame only if its time is equal to the last bit; otherwise it decodes from the
//! beginning. Ends when it is dropped; in between, [`FrameReader::close`] closes the decoder.

use ocellus_core::{Error, ErrorKind, Result};
use ocellus_media::{Decoder, Frame, Input, Interrupt};

use crate::source::FramePosition;

/// Frames ahead up to which the reader decodes instead of seeking.
const NEAR: u64 = 50;

pub(crate) struct FrameReader {
    input: Input,
    interrupt: Interrupt,
    decoder: Option<Decoder>,
    /// The last frame that the decoder gave.
    last: Option<Frame>,
}

impl FrameReader {
    pub(crate) fn new(input: Input, interrupt: &Interrupt) -> Self {
        Self { input, interrupt: interrupt.clone(), decoder: None, last: None }
    }

    /// As [`Decoder::is_live`].
    pub(crate) fn is_live(&mut self) -> Result<bool> {
        Ok(self.decoder()?.is_live())
    }

    /// Continues to read even though the interrupt is raised.
    pub(crate) fn ignore_interrupt(&mut self) {
        self.interrupt = Interrupt::new();
        self.close();
    }

    /// The frame at this position.
    ///
    /// # Errors
    /// Where the source cannot be read any more, or ends before the frame.
    pub(crate) fn frame(&mut self, position: FramePosition) -> Result<Frame> {
        let ahead = self.last.as_ref().and_then(|last| position.index.checked_sub(last.index()));
        if ahead == Some(0)
            && let Some(last) = &self.last
        {
            return Ok(last.clone());
        }
        // Near the beginning, too, decoding is cheaper than seeking.
        if ahead.map_or(position.index > NEAR, |ahead| ahead > NEAR) {
            self.seek(position)?;
        } else if ahead.is_none() && self.last.is_some() {
            self.close();
        }
        loop {
            match &self.last {
                Some(last) if last.index() == position.index => return Ok(last.clone()),
                Some(last) if last.index() > position.index => self.close(),
                _ => {}
            }
            self.last = self.decoder()?.next_frame()?;
            if self.last.is_none() {
                self.close();
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("The video's source ends before frame {}.", position.index),
                ));
            }
        }
    }

    /// Seeks to a frame by its time; if another frame is found there, the decoder restarts.
    fn seek(&mut self, position: FramePosition) -> Result<()> {
        let decoder = self.decoder()?;
        // A source that cannot seek is opened again by the next read.
        let found = decoder.seek(position.time).and_then(|()| {
            decoder.go_on(position.index, 0.0);
            decoder.next_frame()
        });
        match found {
            Ok(Some(frame)) if frame.time() == position.time => self.last = Some(frame),
            _ => self.close(),
        }
        Ok(())
    }

    fn decoder(&mut self) -> Result<&mut Decoder> {
        let decoder = match self.decoder.take() {
            Some(decoder) => decoder,
            None => Decoder::open(&self.input, &self.interrupt)?,
        };
        Ok(self.decoder.insert(decoder))
    }

    /// Closes the decoder until the next frame is read.
    pub(crate) fn close(&mut self) {
        (self.decoder, self.last) = (None, None);
    }
}
