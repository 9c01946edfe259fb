//! The threads that run a network, and the queue before them.
//!
//! Jobs put pictures into the queue and wait for them later; a thread takes the oldest and, where
//! the device gains from it, all that wait with the same size, up to the batch that the network
//! takes. There are as many threads as runs go on at the same time. The queue is bounded: who comes
//! when it is full waits, so memory is too. The threads end when the service is dropped; who still
//! waits then is told so.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ocellus_core::{CpuClock, CpuMeter, Stage};
use parking_lot::{Condvar, Mutex};

use crate::{array::Array, network::Network, network_error::NetworkError};

/// A network that was not asked for so long is idle: making it ready again takes a fraction of a
/// second.
const IDLE: Duration = Duration::from_secs(60);

/// What became of one picture: what was read in the network's outputs for it.
pub(crate) type Outcome<T> = Result<T, ServiceError>;

/// Reads the outputs for one picture of this width and height, each without the batch dimension.
pub(crate) trait Read<T>: Fn(&[Array], usize, usize) -> Result<T, String> {}

impl<T, F: Fn(&[Array], usize, usize) -> Result<T, String>> Read<T> for F {}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the network gives {given:?} for {batch} pictures")]
    Batch { batch: usize, given: Vec<usize> },
    /// They are not what was expected.
    #[error("{0}")]
    Outputs(String),
    #[error("the detector is being shut down")]
    Closed,
}

/// What a network is shown: packed bytes, row by row, three for each pixel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    pub width: usize,
    pub height: usize,
    /// `3 * width * height` of them.
    pub data: Vec<u8>,
}

impl Picture {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// As planes of floats, 0..=255.
    fn write_planes(&self, planes: &mut [f32]) {
        let pixels = self.width * self.height;
        let (first, rest) = planes.split_at_mut(pixels.min(planes.len()));
        let (second, third) = rest.split_at_mut(pixels.min(rest.len()));
        for (((pixel, a), b), c) in self.data.as_chunks::<3>().0.iter().zip(first).zip(second).zip(third) {
            [*a, *b, *c] = pixel.map(f32::from);
        }
    }
}

struct Request<T> {
    picture: Picture,
    /// Of who asks.
    meter: Arc<CpuMeter>,
    reply: mpsc::Sender<Outcome<T>>,
}

struct Queue<T> {
    waiting: VecDeque<Request<T>>,
    closed: bool,
    /// When a picture came last.
    used: Option<Instant>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// A picture came, or the queue was closed.
    came: Condvar,
    /// There is room, or the queue was closed.
    room: Condvar,
    capacity: usize,
}

/// Memory that a thread keeps from one run to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    planes: Vec<f32>,
    outputs: Vec<Array>,
}

pub(crate) struct Service<T> {
    shared: Arc<Shared<T>>,
    network: Arc<Network>,
    threads: Vec<JoinHandle<()>>,
}

/// A picture on its way.
pub(crate) struct Waiting<T>(mpsc::Receiver<Outcome<T>>);

impl<T> Waiting<T> {
    pub(crate) fn wait(self) -> Outcome<T> {
        self.0.recv().unwrap_or(Err(ServiceError::Closed))
    }
}

impl<T: Send + 'static> Service<T> {
    /// Starts the threads, which `read` what the network gives. `max_batch` is at least 1; `stage`
    /// is what its runs are to those who ask for them.
    pub(crate) fn start(
        name: &str,
        network: Network,
        max_batch: usize,
        stage: Stage,
        read: impl Read<T> + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let workers = network.workers();
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: VecDeque::new(), closed: false, used: None }),
            came: Condvar::new(),
            room: Condvar::new(),
            // What each worker runs next; of batches one that gathers meanwhile, too.
            capacity: if max_batch == 1 { workers } else { (workers + 1) * max_batch },
        });
        let mut service = Self { shared, network: Arc::new(network), threads: Vec::with_capacity(workers) };
        for _ in 0..workers {
            let (shared, network, read) = (Arc::clone(&service.shared), Arc::clone(&service.network), read.clone());
            let serve = move || {
                let (mut scratch, mut clock) = (Scratch::default(), CpuClock::start());
                while let Some(batch) = shared.next_batch(max_batch, &mut scratch) {
                    answer(batch, stage, &mut clock, |pictures| run_batch(&network, pictures, &mut scratch, &read));
                }
            };
            service.threads.push(thread::Builder::new().name(format!("detect {name}")).spawn(serve)?);
        }
        Ok(service)
    }

    /// Lets go of the network, unless a picture came within [`IDLE`]; the next one makes it ready
    /// again. Whether there was something.
    pub(crate) fn release_if_idle(&self) -> bool {
        let queue = self.shared.queue.lock();
        queue.used.is_none_or(|used| used.elapsed() >= IDLE) && self.network.release()
    }

    /// Pictures that it holds without anybody waiting.
    pub(crate) fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Puts a picture into the queue; waits only for room. What its run takes is added to `meter`.
    pub(crate) fn submit(&self, picture: Picture, meter: &Arc<CpuMeter>) -> Waiting<T> {
        self.shared.submit(picture, Arc::clone(meter))
    }

    /// Runs pictures through the network and waits for all of them; the outcomes are in the
    /// pictures' order.
    pub(crate) fn run(&self, pictures: Vec<Picture>, meter: &Arc<CpuMeter>) -> Vec<Outcome<T>> {
        // All are submitted before the first is waited for, so that they can share a batch.
        let waiting: Vec<_> = pictures.into_iter().map(|picture| self.submit(picture, meter)).collect();
        waiting.into_iter().map(Waiting::wait).collect()
    }
}

impl<T> Drop for Service<T> {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            // Dropping a request tells who waits for it.
            queue.waiting.clear();
        }
        self.shared.came.notify_all();
        self.shared.room.notify_all();
        for thread in self.threads.drain(..) {
            // They answer faults and do not panic; if one did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl<T> Shared<T> {
    fn submit(&self, picture: Picture, meter: Arc<CpuMeter>) -> Waiting<T> {
        let (reply, outcome) = mpsc::channel();
        let mut queue = self.queue.lock();
        self.room.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.len() >= self.capacity);
        queue.used = Some(Instant::now());
        if !queue.closed {
            queue.waiting.push_back(Request { picture, meter, reply });
            self.came.notify_one();
        }
        Waiting(outcome)
    }

    /// The oldest picture and those of its size behind it; `None` once closed. Who has to wait for
    /// one keeps no memory meanwhile.
    fn next_batch(&self, max_batch: usize, scratch: &mut Scratch) -> Option<Vec<Request<T>>> {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() {
            *scratch = Scratch::default();
        }
        self.came.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.is_empty());
        let first = queue.waiting.pop_front()?;
        let mut batch = vec![first];
        let mut place = 0;
        while batch.len() < max_batch
            && let Some(next) = queue.waiting.get(place)
        {
            let same = batch.first().is_some_and(|first| first.picture.size() == next.picture.size());
            if same { batch.extend(queue.waiting.remove(place)) } else { place += 1 }
        }
        drop(queue);
        self.room.notify_all();
        Some(batch)
    }
}

fn answer<T>(
    batch: Vec<Request<T>>,
    stage: Stage,
    clock: &mut CpuClock,
    run: impl FnOnce(Vec<Picture>) -> Result<Vec<Outcome<T>>, ServiceError>,
) {
    let count = batch.len();
    let parts = batch.into_iter().map(|Request { picture, meter, reply }| (picture, (meter, reply)));
    let (pictures, (meters, replies)): (Vec<_>, (Vec<_>, Vec<_>)) = parts.unzip();
    // Each picture of a batch has the same share in it.
    let share = |time: Duration, stage| {
        meters.iter().for_each(|meter| meter.add(stage, time / u32::try_from(count).unwrap_or(u32::MAX)))
    };
    share(clock.lap(), Stage::Other);
    let outcome = run(pictures);
    share(clock.lap(), stage);
    match outcome {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // Who does not wait any more has been stopped.
                let _ = reply.send(outcome);
            }
        }
        Err(error) => {
            tracing::warn!(%error, pictures = count, "a network failed");
            for reply in replies {
                let _ = reply.send(Err(error.clone()));
            }
        }
    }
}

/// Runs pictures of one size at once and reads the outputs, picture by picture.
pub(crate) fn run_batch<T>(
    network: &Network,
    pictures: Vec<Picture>,
    scratch: &mut Scratch,
    read: impl Read<T>,
) -> Result<Vec<Outcome<T>>, ServiceError> {
    let batch = pictures.len();
    let (width, height) = pictures.first().map_or((0, 0), Picture::size);
    let Scratch { planes, outputs } = scratch;
    let mut data = mem::take(planes);
    data.resize(3 * batch * width * height, 0.0);
    // Each is gone before the network runs.
    for (planes, picture) in data.chunks_exact_mut((3 * width * height).max(1)).zip(pictures) {
        picture.write_planes(planes);
    }
    let mut input = Array { dims: vec![batch, 3, height, width], data };
    let ran = network.run_into(&mut input, outputs);
    *planes = input.data;
    ran?;
    for Array { dims, data } in &mut *outputs {
        if dims.first() != Some(&batch) || data.is_empty() {
            return Err(ServiceError::Batch { batch, given: dims.clone() });
        }
        dims.remove(0);
    }
    let read = |outputs: &[Array]| read(outputs, width, height).map_err(ServiceError::Outputs);
    if batch == 1 {
        return Ok(vec![read(outputs)]);
    }
    let of_picture = |n: usize| {
        let part = |Array { dims, data }: &Array| {
            let size = data.len() / batch;
            Array { dims: dims.clone(), data: data.iter().skip(n * size).take(size).copied().collect() }
        };
        outputs.iter().map(part).collect::<Vec<_>>()
    };
    Ok((0..batch).map(|n| read(&of_picture(n))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_planes() {
        let mut planes = [0.0; 6];
        Picture { width: 2, height: 1, data: vec![1, 2, 3, 4, 5, 6] }.write_planes(&mut planes);
        assert_eq!(planes, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    }
}
