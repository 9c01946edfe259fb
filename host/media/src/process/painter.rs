//! Pictures of the frames that a decoder process keeps.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

use super::{
    protocol::{Answer, Given, Look, Made, Request, Wanted},
    shared_memory::{ON_DEMAND, SLOT, SharedMemory},
    socket::Socket,
};
use crate::{MediaError, Patch, Result, frame::LocalFrame, scaler::LocalScaler};

/// Frames of which the parent has handles.
#[derive(Clone, Default)]
pub(super) struct Frames(Arc<Mutex<HashMap<u64, LocalFrame>>>);

impl Frames {
    pub(super) fn keep(&self, id: u64, frame: LocalFrame) {
        self.0.lock().insert(id, frame);
    }

    fn get(&self, id: u64) -> Result<LocalFrame> {
        self.0.lock().get(&id).cloned().ok_or_else(|| MediaError::internal("no such frame"))
    }

    pub(super) fn release(&self, ids: &[u64]) {
        // Freed outside the lock.
        let released: Vec<_> = {
            let mut frames = self.0.lock();
            ids.iter().filter_map(|id| frames.remove(id)).collect()
        };
        drop(released);
    }
}

/// Makes pictures of frames in the memory of its channel.
pub(super) struct Painter {
    pub(super) frames: Frames,
    scaler: LocalScaler,
    pub(super) memory: SharedMemory,
    /// Offset of the slot with the inputs of the last frame.
    slot: usize,
}

impl Painter {
    pub(super) fn new(frames: Frames, memory: SharedMemory) -> Self {
        Self { frames, scaler: LocalScaler::default(), memory, slot: 0 }
    }
}

impl Painter {
    pub(super) fn paint(&mut self, wanted: &Wanted) -> Result<Given> {
        let bytes = match *wanted {
            Wanted::Look { frame, look } => {
                let frame = self.frames.get(frame)?;
                return self.look(&frame, look, ON_DEMAND).map(Given::Bytes);
            }
            Wanted::Crop { frame, region, max_side } => self.frames.get(frame)?.crop(region, max_side)?.data,
            Wanted::Jpeg { frame, region, max_side, quality } => {
                self.scaler.jpeg(&self.frames.get(frame)?, region, max_side, quality)?
            }
            Wanted::Patches { frame, ref patches } => return self.patches(frame, patches),
            Wanted::Next { .. }
            | Wanted::Seek(_)
            | Wanted::GoOn { .. }
            | Wanted::Record { .. }
            | Wanted::FinishRecording
            | Wanted::Close => {
                return Err(MediaError::internal("a request to the decoder on the channel for pictures"));
            }
        };
        self.memory.bytes(ON_DEMAND, bytes.len()).ok_or_else(too_large)?.copy_from_slice(&bytes);
        Ok(Given::Bytes(bytes.len() as u64))
    }

    fn patches(&mut self, frame: u64, patches: &[Patch]) -> Result<Given> {
        let frame = self.frames.get(frame)?;
        let mut at = ON_DEMAND;
        let mut write = |patch: &Patch| {
            let Some(bytes) = frame.patch(patch)? else { return Ok(false) };
            self.memory.bytes(at, bytes.len()).ok_or_else(too_large)?.copy_from_slice(&bytes);
            at += bytes.len();
            Ok(true)
        };
        patches.iter().map(&mut write).collect::<Result<_>>().map(Given::Patches)
    }

    /// Writes an input of a frame to the shared memory, and returns its size in bytes.
    fn look(&mut self, frame: &LocalFrame, look: Look, at: usize) -> Result<u64> {
        let count = usize::try_from(look.count()).map_err(|_| too_large())?;
        let place = self.memory.bytes(at, count).ok_or_else(too_large)?;
        match look {
            Look::Input { spec, region } => self.scaler.input(frame, &spec.into(), region.map(Into::into), place)?,
            Look::Brightness { region, out } => {
                let mut luma = Vec::new();
                self.scaler.brightness(frame, region, out, &mut luma)?;
                place.copy_from_slice(luma.get(..count).ok_or_else(too_large)?);
            }
        }
        Ok(look.count())
    }

    /// Writes inputs of a frame to the free slot, as many as fit. Failures are reported when the
    /// input is requested.
    pub(super) fn look_all(&mut self, frame: &LocalFrame, looks: &[Look]) -> Vec<Made> {
        self.slot = (self.slot + SLOT) % ON_DEMAND;
        let (mut at, end) = (self.slot, self.slot + SLOT);
        let mut made = Vec::with_capacity(looks.len());
        for look in looks {
            if look.count() > (end - at) as u64 {
                break;
            }
            if let Ok(count) = self.look(frame, *look, at) {
                made.push(Made { look: *look, at: at as u64 });
                at += count as usize;
            }
        }
        made
    }
}

fn too_large() -> MediaError {
    MediaError::internal("a picture that exceeds the shared memory")
}

/// Answers requests for pictures, until the parent closes the socket.
pub(super) fn paint(mut socket: Socket, mut painter: Painter) {
    while let Ok(Some((Request { number, released, wanted }, _))) = socket.receive::<Request>() {
        painter.frames.release(&released);
        let given = painter.paint(&wanted);
        if socket.send(&Answer { number, status: None, fallbacks: Vec::new(), given }).is_err() {
            return;
        }
    }
}

impl Wanted {
    pub(super) fn is_of_frame(&self) -> bool {
        match self {
            Self::Look { .. } | Self::Crop { .. } | Self::Jpeg { .. } | Self::Patches { .. } => true,
            Self::Next { .. }
            | Self::Seek(_)
            | Self::GoOn { .. }
            | Self::Record { .. }
            | Self::FinishRecording
            | Self::Close => false,
        }
    }
}
