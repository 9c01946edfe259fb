//! Frames of a source that was decoded before, once more.
//!
//! Guarantees: a frame that it gives is the one of that number. It is looked for where its time
//! says, and taken only where its time is the same to the last bit; otherwise the source is decoded
//! from its beginning. Ends when it is dropped; in between, [`FrameReader::rest`] lets go of the
//! decoder.

use ocellus_core::{Error, ErrorKind, Result, ShotSummary};
use ocellus_media::{Decoder, Frame, Input, Interrupt};

/// What lies so many frames ahead is decoded up to, not looked for.
const NEAR: u64 = 50;

/// Where a frame stands in its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Place {
    pub index: u64,
    /// Seconds.
    pub time: f64,
}

impl From<&ShotSummary> for Place {
    fn from(shot: &ShotSummary) -> Self {
        Self { index: shot.frame, time: shot.time }
    }
}

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

    /// Finds frames from now on even though the interrupt is raised.
    pub(crate) fn ignore_interrupt(&mut self) {
        self.interrupt = Interrupt::new();
        self.rest();
    }

    /// The frame there.
    ///
    /// # Errors
    /// A source that cannot be read any more, or ends before it.
    pub(crate) fn frame(&mut self, place: Place) -> Result<Frame> {
        let ahead = self.last.as_ref().and_then(|last| place.index.checked_sub(last.index()));
        if ahead == Some(0)
            && let Some(last) = &self.last
        {
            return Ok(last.clone());
        }
        // From the beginning, too, what is near is not looked for.
        if ahead.map_or(place.index > NEAR, |ahead| ahead > NEAR) {
            self.seek(place)?;
        } else if ahead.is_none() && self.last.is_some() {
            self.rest();
        }
        loop {
            match &self.last {
                Some(last) if last.index() == place.index => return Ok(last.clone()),
                Some(last) if last.index() > place.index => self.rest(),
                _ => {}
            }
            self.last = self.decoder()?.next_frame()?;
            if self.last.is_none() {
                self.rest();
                return Err(Error::new(
                    ErrorKind::Conflict,
                    format!("The video's source ends before frame {}.", place.index),
                ));
            }
        }
    }

    /// Goes to a frame by its time; back to the beginning where it is not found there.
    fn seek(&mut self, place: Place) -> Result<()> {
        let decoder = self.decoder()?;
        // A source that cannot do this is opened again below.
        let found = decoder.seek(place.time).and_then(|()| {
            decoder.go_on(place.index, 0.0);
            decoder.next_frame()
        });
        match found {
            Ok(Some(frame)) if frame.time() == place.time => self.last = Some(frame),
            _ => self.rest(),
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

    /// Lets go of the decoder until the next frame is wanted.
    pub(crate) fn rest(&mut self) {
        (self.decoder, self.last) = (None, None);
    }
}
