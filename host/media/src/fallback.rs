//! Hardware decoding with fallback to software.
//!
//! Owns the change from one to the other. While a device decodes, the packets since the key frame
//! before the last one are kept, each with a note of whether its picture was returned. When the
//! device fails, at opening, in a packet, or in the download of a picture, software decodes the
//! kept packets again, and the pictures that were returned already are dropped. So the sequence of
//! pictures is the same, whichever decoded them.
//!
//! Pictures are identified by the time stamps of their packets. A stream whose packets have none,
//! or whose key frames are too far apart to keep the packets between, is decoded by software.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use ffmpeg_next::{Packet, decoder};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::{
    Decoding,
    av::{self, Codec, Coded, Device, Output},
    error::Cause,
};

/// Limit of the bytes of packets that are kept: minutes of a camera's stream.
const MOST_KEPT: usize = 64 << 20;

/// Decodes a stream. Ends with it; a new place in the stream is reached by
/// [`FallbackDecoder::flush`], a reopened stream by [`FallbackDecoder::restart`].
pub(crate) struct FallbackDecoder {
    stream: Coded,
    threads: usize,
    /// Emptied when one has failed.
    devices: Vec<Arc<dyn Device>>,
    engine: Engine,
    /// All packets were sent.
    ending: bool,
}

enum Engine {
    Software { decoder: decoder::Video, behind: Behind },
    Device { device: Arc<dyn Device>, codec: Box<dyn Codec>, kept: Kept },
}

impl FallbackDecoder {
    /// Opens the first device that can decode the stream, or software where none can.
    ///
    /// # Errors
    /// The reason why software cannot decode it.
    pub(crate) fn open(stream: Coded, threads: usize, devices: Vec<Arc<dyn Device>>) -> Result<Self, Cause> {
        let engine = Engine::open(&stream, threads, &devices)?;
        Ok(Self { stream, threads, devices, engine, ending: false })
    }

    /// Restarts with `stream`, the same stream opened again.
    pub(crate) fn restart(&mut self, stream: Coded) -> Result<(), Cause> {
        self.engine = Engine::open(&stream, self.threads, &self.devices)?;
        self.stream = stream;
        self.ending = false;
        Ok(())
    }

    pub(crate) fn flush(&mut self) {
        self.ending = false;
        match &mut self.engine {
            Engine::Software { decoder, behind } => {
                Codec::flush(decoder);
                *behind = Behind::default();
            }
            Engine::Device { codec, kept, .. } => {
                codec.flush();
                *kept = Kept::default();
            }
        }
    }

    /// Sends a packet, after [`FallbackDecoder::receive`] returned [`Output::NeedsPacket`]. Returns
    /// whether it was damaged.
    ///
    /// # Errors
    /// A device failed and software cannot decode the stream, or memory ran out.
    pub(crate) fn send(&mut self, packet: Packet) -> Result<bool, Cause> {
        match &mut self.engine {
            Engine::Software { decoder, behind } if behind.waiting.is_empty() => match decoder.send(&packet) {
                Err(cause) if cause.downcast_ref().is_some_and(|error| av::is_out_of_memory(*error)) => Err(cause),
                sent => Ok(sent.is_err()),
            },
            Engine::Software { behind, .. } => {
                behind.waiting.push_back(packet);
                Ok(false)
            }
            Engine::Device { codec, kept, .. } => {
                let sent = kept.check(&packet).and_then(|()| codec.send(&packet));
                kept.push(packet);
                sent.or_else(|reason| self.fall_back(&reason)).map(|()| false)
            }
        }
    }

    /// Signals the end of the packets.
    ///
    /// # Errors
    /// As [`FallbackDecoder::send`].
    pub(crate) fn send_end(&mut self) -> Result<(), Cause> {
        self.ending = true;
        match &mut self.engine {
            Engine::Software { decoder, behind } => {
                if behind.waiting.is_empty() {
                    // It only fails where the end was sent before.
                    let _ = decoder.send_end();
                }
                Ok(())
            }
            Engine::Device { codec, .. } => codec.send_end().or_else(|reason| self.fall_back(&reason)),
        }
    }

    /// The next picture. `Ok(Err(_))`: damage was found, and decoding goes on.
    ///
    /// # Errors
    /// As [`FallbackDecoder::send`].
    pub(crate) fn receive(&mut self) -> Result<Result<Output, Cause>, Cause> {
        loop {
            match &mut self.engine {
                Engine::Device { codec, kept, .. } => {
                    let reason = match codec.receive() {
                        Ok(Output::Picture(picture)) if !kept.came_out(picture.pts()) => {
                            "a picture has a time stamp without a packet".into()
                        }
                        Ok(output) => return Ok(Ok(output)),
                        Err(reason) => reason,
                    };
                    self.fall_back(&reason)?;
                }
                Engine::Software { decoder, behind } => match decoder.receive() {
                    Ok(Output::Picture(picture)) if behind.was_out(picture.pts()) => {}
                    Ok(Output::NeedsPacket) if !behind.waiting.is_empty() => {
                        let Some(packet) = behind.waiting.pop_front() else { continue };
                        let sent = decoder.send(&packet);
                        if behind.waiting.is_empty() && self.ending {
                            let _ = decoder.send_end();
                        }
                        // A damaged packet was counted when it was sent the first time.
                        if let Err(damage) = sent
                            && !packet.is_corrupt()
                        {
                            return Ok(Err(damage));
                        }
                    }
                    output => return Ok(output),
                },
            }
        }
    }

    fn fall_back(&mut self, reason: &Cause) -> Result<(), Cause> {
        let decoder = av::open_decoder(&self.stream, self.threads)?;
        let software = Engine::Software { decoder, behind: Behind::default() };
        if let Engine::Device { device, kept, .. } = std::mem::replace(&mut self.engine, software) {
            log_once(Fallback::new(device.name(), self.stream.codec(), format!("failed: {reason}")));
            if let Engine::Software { decoder, behind } = &mut self.engine {
                *behind = kept.behind();
                if behind.waiting.is_empty() && self.ending {
                    let _ = decoder.send_end();
                }
            }
        }
        self.devices.clear();
        Ok(())
    }
}

impl Engine {
    fn open(stream: &Coded, threads: usize, devices: &[Arc<dyn Device>]) -> Result<Self, Cause> {
        for device in devices {
            match device.open(stream) {
                Ok(codec) => return Ok(Self::Device { device: Arc::clone(device), codec, kept: Kept::default() }),
                Err(reason) => {
                    log_once(Fallback::new(device.name(), stream.codec(), format!("cannot decode it: {reason}")));
                }
            }
        }
        Ok(Self::Software { decoder: av::open_decoder(stream, threads)?, behind: Behind::default() })
    }
}

/// A stream that a device does not decode, and the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Fallback {
    device: String,
    codec: String,
    what: String,
}

impl Fallback {
    fn new(device: &str, codec: impl Into<String>, what: impl Into<String>) -> Self {
        Self { device: device.to_owned(), codec: codec.into(), what: what.into() }
    }

    /// None of the chosen devices can be used.
    pub(crate) fn of_all(asked: Decoding, what: &str) -> Self {
        Self::new(&asked.to_string(), "any codec", what)
    }
}

/// Fallbacks that are not logged yet, in a process without its own log.
static COLLECTED: Mutex<Option<Vec<Fallback>>> = Mutex::new(None);

/// Makes [`log_once`] collect from now on instead of logging.
pub(crate) fn collect() {
    COLLECTED.lock().get_or_insert_default();
}

/// Fallbacks collected since the last call.
pub(crate) fn collected() -> Vec<Fallback> {
    COLLECTED.lock().as_mut().map(std::mem::take).unwrap_or_default()
}

/// Limit of the logged reasons: a decoder process may report any text.
const MAX_LOGGED: usize = 1000;

/// Logs each fallback once, as thousands of videos may have the same.
pub(crate) fn log_once(fallback: Fallback) {
    static LOGGED: Mutex<BTreeSet<Fallback>> = Mutex::new(BTreeSet::new());
    let is_new = {
        let mut said = LOGGED.lock();
        said.len() < MAX_LOGGED && said.insert(fallback.clone())
    };
    if !is_new {
        return;
    }
    if let Some(collected) = COLLECTED.lock().as_mut() {
        collected.push(fallback);
        return;
    }
    let Fallback { device, codec, what } = &fallback;
    tracing::warn!(device, codec, "{codec} is decoded by software, {device} {what}");
}

/// Packets with which software would start.
#[derive(Default)]
struct Kept {
    packets: VecDeque<KeptPacket>,
    bytes: usize,
}

struct KeptPacket {
    packet: Packet,
    /// Its picture was returned.
    out: bool,
}

impl Kept {
    /// Whether a packet can be kept.
    fn check(&self, packet: &Packet) -> Result<(), Cause> {
        if packet.pts().is_none() {
            return Err("a packet has no time stamp".into());
        }
        if self.bytes + packet.size() > MOST_KEPT { Err("key frames are too far apart".into()) } else { Ok(()) }
    }

    fn push(&mut self, packet: Packet) {
        self.bytes += packet.size();
        self.packets.push_back(KeptPacket { packet, out: false });
    }

    /// Marks the packet of a returned picture; whether it is among those that are kept.
    ///
    /// Once the picture of a key frame is returned, so are all pictures before it, and those that
    /// follow it in decoding order and precede it in display order. One more key frame is kept,
    /// since some streams are complete only some frames after one.
    fn came_out(&mut self, pts: Option<i64>) -> bool {
        let Some(pts) = pts else { return false };
        let Some((place, kept)) =
            self.packets.iter_mut().enumerate().find(|(_, kept)| !kept.out && kept.packet.pts() == Some(pts))
        else {
            return false;
        };
        kept.out = true;
        if kept.packet.is_key() {
            let before = self.packets.iter().take(place).rposition(|kept| kept.packet.is_key());
            let needless = self.packets.drain(..before.unwrap_or(0)).map(|kept| kept.packet.size());
            self.bytes -= needless.sum::<usize>();
        }
        true
    }

    fn behind(self) -> Behind {
        let out = self.packets.iter().filter(|kept| kept.out).filter_map(|kept| kept.packet.pts()).collect();
        Behind { waiting: self.packets.into_iter().map(|kept| kept.packet).collect(), out }
    }
}

/// State of software that catches up with a failed device.
#[derive(Default)]
struct Behind {
    /// Packets to decode before any other.
    waiting: VecDeque<Packet>,
    /// Times of pictures that were returned already.
    out: Vec<i64>,
}

impl Behind {
    fn was_out(&mut self, pts: Option<i64>) -> bool {
        let Some(pts) = pts else { return false };
        let place = self.out.iter().position(|out| *out == pts);
        match place {
            Some(place) => drop(self.out.swap_remove(place)),
            // Caught up: the same time later in the stream belongs to another picture.
            None if self.waiting.is_empty() && self.out.iter().all(|out| *out < pts) => self.out.clear(),
            None => {}
        }
        place.is_some()
    }
}
