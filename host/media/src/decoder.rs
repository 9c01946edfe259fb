//! Decoder: frames from packets, with times, seeking and the judgement of how a source ended.

use std::fs::File;

use std::sync::Arc;

use ffmpeg_next::{Error, Packet, error, frame, packet};

use crate::{
    Input, Interrupt, MediaError, MediaInfo, Result,
    av::{self, Device, Output},
    clock::StreamClock,
    error::Cause,
    fallback::FallbackDecoder,
    frame::LocalFrame,
    origin::{self, Find},
    recorder::{Recorder, Recording},
    source::{self, Source},
    steps::Steps,
    structure,
    threads::Share,
};

/// Tolerance in seconds between two times of the same frame.
const SAME: f64 = 5e-4;

/// Consecutive failed reads after which the source counts as broken.
const MAX_BAD_READS: u32 = 1000;

/// Seconds before its declared end at which a source may end and be complete: headers round.
const SLACK: f64 = 1.0;

/// A decoder in this process. Its methods are documented at [`Decoder`](crate::Decoder).
pub(crate) struct LocalDecoder {
    input: Input,
    find: Find,
    interrupt: Interrupt,
    source: Source,
    codec: FallbackDecoder,
    /// Held for the life of the decoding threads.
    _share: Share,
    state: State,
    /// The number of the next frame.
    next: u64,
    /// Seconds that are added to the times of frames.
    shift: f64,
    soft_errors: u64,
    clock: StreamClock,
    /// Where the last packet ended, in seconds.
    end: Option<f64>,
    /// The next frame, where it was decoded ahead. For a still image that is its first picture,
    /// which alone has its orientation.
    peeked: Option<Result<Option<LocalFrame>>>,
    /// The packets read for the first frame, for a recording from the beginning; `None` later on.
    early: Option<Early>,
    last_packet_cut: bool,
    failure: Option<Error>,
    target: Option<SeekTarget>,
    moved: bool,
    recorder: Option<Recorder>,
    steps: Steps,
}

/// Packets up to the first frame. Clones share their bytes.
#[derive(Default)]
struct Early {
    packets: Vec<Packet>,
    bytes: usize,
}

impl Early {
    /// Bytes. Only damaged sources have more before the first frame.
    const MOST: usize = 32 << 20;

    fn keep(&mut self, packet: &Packet) {
        self.bytes += packet.size();
        if self.bytes <= Self::MOST {
            self.packets.push(packet.clone());
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// All packets were sent; the codec still holds frames.
    Draining,
    Ended,
}

/// Target of a seek: frames before this time are dropped.
#[derive(Clone, Copy)]
struct SeekTarget {
    seconds: f64,
    /// Seconds by which the container was sought earlier than the target.
    lead: f64,
    /// Decoding is known to have begun at or before the target.
    sure: bool,
}

/// Containers without an index seek approximately, and the codec then waits for the next key frame.
/// So the first miss starts this many seconds earlier, each further one `LEAD_GROWTH` times as
/// early, and past `MAX_LEAD` decoding starts from the beginning.
const FIRST_LEAD: f64 = 2.0;
const LEAD_GROWTH: f64 = 5.0;
const MAX_LEAD: f64 = 60.0;

impl LocalDecoder {
    /// Each packet read and each picture decoded counts as one of `steps`.
    pub(crate) fn open(input: &Input, find: Find, interrupt: &Interrupt, steps: Steps) -> Result<Self> {
        Self::open_on(input, find, interrupt, input.decoding.devices(), steps)
    }

    fn open_on(
        input: &Input,
        find: Find,
        interrupt: &Interrupt,
        devices: Vec<Arc<dyn Device>>,
        steps: Steps,
    ) -> Result<Self> {
        let source = Source::open(input, &find, interrupt)?;
        let start = source.start;
        let share = Share::take(input.threads);
        let codec = FallbackDecoder::open(source.coded()?, share.threads(source.info.size), devices)
            .map_err(|cause| source.unsupported(cause))?;
        let clock = StreamClock::new(source.info.frame_rate, source.may_jump);
        let mut opened = Self {
            codec,
            _share: share,
            source,
            input: input.clone(),
            find,
            interrupt: interrupt.clone(),
            state: State::Reading,
            next: 0,
            shift: 0.0,
            soft_errors: 0,
            clock,
            end: None,
            peeked: None,
            early: None,
            last_packet_cut: false,
            failure: None,
            target: None,
            moved: false,
            recorder: None,
            steps,
        };
        if let Some(start) = start {
            opened.seek(start)?;
        }
        if opened.source.is_picture() && !opened.is_live() {
            opened.early = start.is_none().then(Early::default);
            let first = opened.read_frame();
            if let Ok(Some(frame)) = &first {
                opened.source.info.size = frame.size();
            }
            opened.peeked = Some(first);
        }
        Ok(opened)
    }

    pub(crate) fn info(&self) -> &MediaInfo {
        &self.source.info
    }

    pub(crate) fn is_live(&self) -> bool {
        self.source.is_live
    }

    pub(crate) fn taken_us(&self, time: f64) -> Option<i64> {
        Some(self.zero_us()?.saturating_add(((time - self.shift) * 1e6).round() as i64))
    }

    /// Wall-clock time of second 0; microseconds since the Unix epoch.
    pub(crate) fn zero_us(&self) -> Option<i64> {
        self.source.realtime_start()
    }

    pub(crate) fn soft_errors(&self) -> u64 {
        self.soft_errors
    }

    pub(crate) fn record(&mut self, file: File, audio: bool) {
        let mut recorder = Recorder::begin(&self.source, file, audio);
        self.early.take().unwrap_or_default().packets.iter().for_each(|packet| recorder.take(packet));
        self.recorder = Some(recorder);
    }

    pub(crate) fn finish_recording(&mut self) -> Option<Recording> {
        self.recorder.take().map(Recorder::finish)
    }

    pub(crate) fn jumps(&self) -> u64 {
        self.clock.jumps()
    }

    pub(crate) fn length(&self) -> Option<f64> {
        let (last, end) = self.clock.last_shown().filter(|_| self.state == State::Ended)?;
        Some(if self.clock.jumps() > 0 { end } else { self.source.length(last, end) })
    }

    pub(crate) fn next_frame(&mut self) -> Result<Option<LocalFrame>> {
        match self.peeked.take() {
            Some(peeked) => {
                self.early = None;
                peeked
            }
            None => self.read_frame(),
        }
    }

    /// Decodes the next frame ahead. The decoder's properties are those at that frame from then on.
    /// Callers must not keep it: until it is returned as the next frame, its number may change.
    pub(crate) fn look_ahead(&mut self) -> Option<LocalFrame> {
        if self.peeked.is_none() && self.state != State::Ended {
            self.peeked = Some(self.read_frame());
        }
        self.peeked.as_ref()?.as_ref().ok()?.clone()
    }

    fn read_frame(&mut self) -> Result<Option<LocalFrame>> {
        let next = self.advance().map_err(|error| match error {
            MediaError::NoMemory { .. } => MediaError::NoMemory { frames: self.next },
            error => error,
        });
        if next.is_err() {
            self.state = State::Ended;
        }
        next
    }

    pub(crate) fn seek(&mut self, seconds: f64) -> Result<()> {
        let seconds = if seconds.is_finite() { seconds.max(0.0) } else { 0.0 };
        self.next = 0;
        self.peeked = None;
        self.early = None;
        self.approach(seconds, 0.0)
    }

    pub(crate) fn go_on(&mut self, next: u64, shift: f64) {
        if let Some(Ok(Some(frame))) = &mut self.peeked {
            frame.renumber(next, shift - self.shift);
            self.next = next + 1;
        } else {
            self.next = next;
        }
        self.shift = shift;
    }

    fn approach(&mut self, seconds: f64, lead: f64) -> Result<()> {
        let place = seconds - lead;
        if self.source.is_timed && place >= 0.0 && lead <= MAX_LEAD && self.source.seek(place).is_ok() {
            self.codec.flush();
            self.restart(SeekTarget { seconds, lead, sure: false });
            return Ok(());
        }
        if self.input.location.is_rtsp() {
            // Reopening does not rewind: a camera would show the present.
            self.codec.flush();
            self.restart(SeekTarget { seconds, lead, sure: true });
            return Ok(());
        }
        self.source = Source::open(&self.input, &self.find, &self.interrupt)?;
        self.codec.restart(self.source.coded()?).map_err(|cause| self.source.unsupported(cause))?;
        self.restart(SeekTarget { seconds, lead, sure: true });
        Ok(())
    }

    /// Seeks again, earlier, as decoding began after the target.
    fn retreat(&mut self, target: SeekTarget) -> Result<()> {
        let lead = if target.lead == 0.0 { FIRST_LEAD } else { target.lead * LEAD_GROWTH };
        self.approach(target.seconds, lead)
    }

    fn restart(&mut self, target: SeekTarget) {
        self.state = State::Reading;
        self.clock.restart();
        self.end = None;
        self.last_packet_cut = false;
        self.failure = None;
        self.target = Some(target);
        self.moved = true;
    }

    fn advance(&mut self) -> Result<Option<LocalFrame>> {
        while self.state != State::Ended {
            if self.interrupt.is_raised() {
                return Err(MediaError::Interrupted);
            }
            self.steps.count();
            match self.codec.receive().map_err(|cause| self.source.unsupported(cause))? {
                Ok(Output::Picture(picture)) => {
                    if let Some(frame) = self.accept(picture)? {
                        return Ok(Some(frame));
                    }
                }
                Ok(Output::Ended) => {
                    if let Some(target) = self.target.filter(|target| !target.sure && self.failure.is_none()) {
                        self.retreat(target)?;
                        continue;
                    }
                    self.state = State::Ended;
                    return self.check_end().map(|()| None);
                }
                Ok(Output::NeedsPacket) => self.feed()?,
                Err(cause) => {
                    if is_out_of_memory(&cause) {
                        return Err(self.source.unsupported(cause));
                    }
                    self.soft_errors += 1;
                    if self.state == State::Reading {
                        self.feed()?;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Sends the codec one more packet, or the end of the packets.
    fn feed(&mut self) -> Result<()> {
        let mut bad_reads = 0;
        loop {
            let mut packet = Packet::empty();
            let read = self.source.read(&mut packet);
            self.steps.count();
            match read {
                Ok(()) => {
                    bad_reads = 0;
                    // Packets may come twice while a seek is in progress.
                    if let Some(recorder) = self.recorder.as_mut().filter(|_| self.target.is_none()) {
                        recorder.take(&packet);
                    } else if let Some(early) = &mut self.early {
                        early.keep(&packet);
                    }
                    if let Some(end) = self.source.end_of(&packet) {
                        self.end = Some(self.end.map_or(end, |e| e.max(end)));
                    }
                    if !self.source.is_video(&packet) {
                        continue;
                    }
                    self.last_packet_cut = packet.is_corrupt();
                    // An empty packet would end the stream for the codec.
                    if packet.size() == 0 {
                        continue;
                    }
                    if packet.side_data().any(|data| data.kind() == packet::side_data::Type::EncryptionInfo) {
                        return Err(MediaError::Encrypted);
                    }
                    let corrupt = packet.is_corrupt();
                    let damaged = self.codec.send(packet).map_err(|cause| self.source.unsupported(cause))?;
                    self.soft_errors += u64::from(corrupt || damaged);
                    return Ok(());
                }
                Err(Error::InvalidData) if bad_reads < MAX_BAD_READS => {
                    bad_reads += 1;
                    self.soft_errors += 1;
                    self.last_packet_cut = true;
                }
                Err(Error::Other { errno: error::EAGAIN }) => {}
                Err(error) if av::is_out_of_memory(error) => return Err(self.source.unsupported(error.into())),
                Err(error) => {
                    if error != Error::Eof {
                        self.failure = Some(error);
                    }
                    self.state = State::Draining;
                    return self.codec.send_end().map_err(|cause| self.source.unsupported(cause));
                }
            }
            if let Some(stopped) = self.source.stopped() {
                return Err(stopped);
            }
        }
    }

    /// Turns a picture into a frame with a time; `None` for one that is dropped.
    fn accept(&mut self, picture: frame::Video) -> Result<Option<LocalFrame>> {
        if picture.is_corrupt() {
            self.soft_errors += 1;
            return Ok(None);
        }
        self.soft_errors += u64::from(picture.has_decode_errors());
        let stamped = picture.timestamp().map(|t| self.source.seconds(t).max(0.0));
        if let Some(target) = &mut self.target
            && !target.sure
        {
            if stamped.is_none_or(|t| t > target.seconds + SAME) {
                let target = *target;
                self.retreat(target)?;
                return Ok(None);
            }
            target.sure = true;
        }
        let time = self.clock.time(stamped);
        if self.target.is_some_and(|target| time < target.seconds - SAME) {
            return Ok(None);
        }
        self.target = None;
        let presentation = self.source.presentation(&picture);
        let field = if av::is_combed(&picture) { av::earlier_field(&picture) } else { None };
        let (picture, presentation) = match field {
            Some(field) => {
                let lines = presentation.of_lines(field.height());
                (field, lines)
            }
            None => (picture, presentation),
        };
        let frame = LocalFrame::new(picture, self.next, time + self.shift, presentation);
        self.next += 1;
        Ok(Some(frame))
    }

    /// Tells a complete source from a truncated one.
    fn check_end(&self) -> Result<()> {
        if let Some(stopped) = self.source.stopped().filter(|_| self.failure.is_some()) {
            return Err(stopped);
        }
        let file = || origin::file(&self.input, &self.find, &origin::watch(&self.input, &self.interrupt));
        // The last frame may be as long as the longest, without its packet saying so.
        let slack = SLACK.max(self.clock.longest_step() * 1.5);
        let early = self.clock.jumps() == 0
            && self.end.is_some_and(|end| self.source.claims_more(end, slack))
            && !file().is_some_and(|mut file| structure::is_complete(&mut file));
        let cause: Cause = match self.failure {
            Some(error) => error.into(),
            None if self.last_packet_cut => "the last packet is cut".into(),
            None if self.source.has_no_end() => "the stream ended by itself".into(),
            None if early => "it ends before the time in its header".into(),
            None if self.next == 0 && !self.moved => "no packet gave a frame".into(),
            None => return Ok(()),
        };
        Err(source::of_kind(file(), MediaError::BrokenOff { frames: self.next, cause }))
    }
}

fn is_out_of_memory(cause: &Cause) -> bool {
    cause.downcast_ref().is_some_and(|error| av::is_out_of_memory(*error))
}

#[cfg(test)]
mod tests;
