//! Batching service: a bounded queue of pictures, and the threads that run them through a network.
//!
//! Jobs submit pictures and wait for the outcomes later. A thread takes the oldest picture and, on
//! a GPU, further ones of the same size, up to the network's batch. There is one thread for each
//! concurrent run. Submitting blocks while the queue is full, which bounds the memory. The threads
//! end when the service is dropped; pending outcomes are then [`ServiceError::Closed`].

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use ocellus_core::{ChannelOrder, CpuClock, CpuMeter, RgbImage, Size, Stage};
use parking_lot::{Condvar, Mutex};

use crate::{
    array::Array,
    manifest::{InputSize, Normalization},
    network::Network,
    network_error::NetworkError,
};

/// Time without a picture after which a network is idle. Loading it again takes a fraction of a
/// second.
const IDLE_AFTER: Duration = Duration::from_secs(60);

/// Parameters of a network's service.
pub(crate) struct ServiceSpec<'a> {
    /// Name of the detector or embedder.
    pub(crate) name: &'a str,
    /// Name of the model file, for errors.
    pub(crate) file: &'a str,
    pub(crate) input: InputSize,
    /// Pictures in a batch, where the device gains from batches.
    pub(crate) max_batch: usize,
    pub(crate) normalization: Normalization,
    /// Stage to which the CPU time of runs is attributed.
    pub(crate) stage: Stage,
}

/// Outcome of one picture: the decoded outputs of the network.
pub(crate) type Outcome<T> = Result<T, ServiceError>;

/// Decodes the outputs for one picture of this width and height, each output without the batch
/// dimension.
pub(crate) trait Decode<T>: Fn(&[Array], usize, usize) -> Result<T, String> {}

impl<T, F: Fn(&[Array], usize, usize) -> Result<T, String>> Decode<T> for F {}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the network gives {given:?} for {batch} pictures")]
    Batch { batch: usize, given: Vec<usize> },
    /// [`Decode`] failed.
    #[error("{0}")]
    Outputs(String),
    #[error("the detector is being shut down")]
    Closed,
}

/// Input of a network: packed bytes, row by row, three for each pixel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Picture {
    pub width: usize,
    pub height: usize,
    /// `3 * width * height` bytes.
    pub data: Vec<u8>,
}

impl Picture {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Crops of objects, checked to be of the size of a network's input, in its order of channels.
    pub(crate) fn of_crops(crops: &[RgbImage], size: Size, order: ChannelOrder) -> Result<Vec<Self>, String> {
        let Size { width, height } = size;
        let picture = |crop: &RgbImage| {
            if (crop.width, crop.height) != (width, height) {
                return Err(format!("a picture of {}x{}, where it takes {width}x{height}", crop.width, crop.height));
            }
            let mut data = crop.data.clone();
            if order == ChannelOrder::Bgr {
                data.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.reverse());
            }
            Ok(Self { width: width as usize, height: height as usize, data })
        };
        crops.iter().map(picture).collect()
    }

    /// Converts to planes of floats.
    fn write_planes(&self, Normalization { mean, factor }: Normalization, planes: &mut [f32]) {
        let ([m0, m1, m2], [f0, f1, f2]) = (mean, factor);
        let pixels = self.width * self.height;
        let (first, rest) = planes.split_at_mut(pixels.min(planes.len()));
        let (second, third) = rest.split_at_mut(pixels.min(rest.len()));
        for (((pixel, a), b), c) in self.data.as_chunks::<3>().0.iter().zip(first).zip(second).zip(third) {
            let [x, y, z] = pixel.map(f32::from);
            [*a, *b, *c] = [(x - m0) * f0, (y - m1) * f1, (z - m2) * f2];
        }
    }
}

struct Request<T> {
    picture: Picture,
    /// The caller's.
    meter: Arc<CpuMeter>,
    reply: mpsc::Sender<Outcome<T>>,
}

struct Queue<T> {
    waiting: VecDeque<Request<T>>,
    closed: bool,
    /// When the last picture was submitted.
    used: Option<Instant>,
}

struct Shared<T> {
    queue: Mutex<Queue<T>>,
    /// Notified when a picture is queued, or the queue is closed.
    not_empty: Condvar,
    /// Notified when a picture is taken, or the queue is closed.
    not_full: Condvar,
    capacity: usize,
}

/// Memory that a thread reuses from one run to the next.
#[derive(Default)]
pub(crate) struct Scratch {
    planes: Vec<f32>,
    outputs: Vec<Array>,
}

/// A network with its queue and its threads. `T` is the result of decoding a picture's outputs.
pub(crate) struct Service<T> {
    shared: Arc<Shared<T>>,
    network: Arc<Network>,
    threads: Vec<JoinHandle<()>>,
}

/// A picture that was submitted.
pub(crate) struct PendingOutcome<T>(mpsc::Receiver<Outcome<T>>);

impl<T> PendingOutcome<T> {
    /// Blocks until the network has run.
    pub(crate) fn wait(self) -> Outcome<T> {
        self.0.recv().unwrap_or(Err(ServiceError::Closed))
    }
}

impl<T: Send + 'static> Service<T> {
    /// Starts the threads. `max_batch` is at least 1, and at most that of `spec`.
    pub(crate) fn start(
        spec: &ServiceSpec<'_>,
        network: Network,
        max_batch: usize,
        decode: impl Decode<T> + Clone + Send + 'static,
    ) -> std::io::Result<Self> {
        let (workers, stage, normalization) = (network.workers(), spec.stage, spec.normalization);
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { waiting: VecDeque::new(), closed: false, used: None }),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            // The next picture of each worker; with batches also a batch that is being filled.
            capacity: if max_batch == 1 { workers } else { (workers + 1) * max_batch },
        });
        let mut service = Self { shared, network: Arc::new(network), threads: Vec::with_capacity(workers) };
        for _ in 0..workers {
            let (shared, network, decode) = (Arc::clone(&service.shared), Arc::clone(&service.network), decode.clone());
            let serve = move || {
                let (mut scratch, mut clock) = (Scratch::default(), CpuClock::start());
                while let Some(batch) = shared.next_batch(max_batch, &mut scratch) {
                    answer(batch, stage, &mut clock, |pictures| {
                        run_batch(&network, pictures, normalization, &mut scratch, &decode)
                    });
                }
            };
            service.threads.push(thread::Builder::new().name(format!("detect {}", spec.name)).spawn(serve)?);
        }
        Ok(service)
    }

    /// Releases the network, unless a picture was submitted within [`IDLE_AFTER`]; the next one
    /// loads it again. Returns whether it was loaded.
    pub(crate) fn release_if_idle(&self) -> bool {
        let queue = self.shared.queue.lock();
        queue.used.is_none_or(|used| used.elapsed() >= IDLE_AFTER) && self.network.release()
    }

    /// Pictures that can be queued before [`Self::submit`] blocks.
    pub(crate) fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// Queues a picture; blocks while the queue is full. The CPU time of its run is added to
    /// `meter`.
    pub(crate) fn submit(&self, picture: Picture, meter: &Arc<CpuMeter>) -> PendingOutcome<T> {
        self.shared.submit(picture, Arc::clone(meter))
    }

    /// Runs pictures through the network and blocks until all are done; the outcomes are in the
    /// pictures' order.
    pub(crate) fn run(&self, pictures: Vec<Picture>, meter: &Arc<CpuMeter>) -> Vec<Outcome<T>> {
        // All are submitted before the first is waited for, so that they can share a batch.
        let pending: Vec<_> = pictures.into_iter().map(|picture| self.submit(picture, meter)).collect();
        pending.into_iter().map(PendingOutcome::wait).collect()
    }
}

impl<T> Drop for Service<T> {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            // Dropping a request ends the wait for its outcome.
            queue.waiting.clear();
        }
        self.shared.not_empty.notify_all();
        self.shared.not_full.notify_all();
        for thread in self.threads.drain(..) {
            // Threads send errors to their callers and do not panic; no caller is left now.
            let _ = thread.join();
        }
    }
}

impl<T> Shared<T> {
    fn submit(&self, picture: Picture, meter: Arc<CpuMeter>) -> PendingOutcome<T> {
        let (reply, outcome) = mpsc::channel();
        let mut queue = self.queue.lock();
        self.not_full.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.len() >= self.capacity);
        queue.used = Some(Instant::now());
        if !queue.closed {
            queue.waiting.push_back(Request { picture, meter, reply });
            self.not_empty.notify_one();
        }
        PendingOutcome(outcome)
    }

    /// The oldest picture and further ones of its size; `None` once closed. Frees `scratch` where
    /// there is none to take at once.
    fn next_batch(&self, max_batch: usize, scratch: &mut Scratch) -> Option<Vec<Request<T>>> {
        let mut queue = self.queue.lock();
        if queue.waiting.is_empty() {
            *scratch = Scratch::default();
        }
        self.not_empty.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.is_empty());
        let first = queue.waiting.pop_front()?;
        let mut batch = vec![first];
        let mut index = 0;
        while batch.len() < max_batch
            && let Some(next) = queue.waiting.get(index)
        {
            let same = batch.first().is_some_and(|first| first.picture.size() == next.picture.size());
            if same { batch.extend(queue.waiting.remove(index)) } else { index += 1 }
        }
        drop(queue);
        self.not_full.notify_all();
        Some(batch)
    }
}

/// Runs a batch and sends each caller the outcome of its picture.
fn answer<T>(
    batch: Vec<Request<T>>,
    stage: Stage,
    clock: &mut CpuClock,
    run: impl FnOnce(Vec<Picture>) -> Result<Vec<Outcome<T>>, ServiceError>,
) {
    let count = batch.len();
    let parts = batch.into_iter().map(|Request { picture, meter, reply }| (picture, (meter, reply)));
    let (pictures, (meters, replies)): (Vec<_>, (Vec<_>, Vec<_>)) = parts.unzip();
    // Each picture of a batch is charged the same share of its time.
    let share = |time: Duration, stage| {
        meters.iter().for_each(|meter| meter.add(stage, time / u32::try_from(count).unwrap_or(u32::MAX)))
    };
    share(clock.lap(), Stage::Other);
    let outcome = run(pictures);
    share(clock.lap(), stage);
    match outcome {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // The receiver is gone where its job was stopped.
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

/// Runs pictures of one size as a batch and decodes the outputs, picture by picture. The outer
/// error is one of the whole batch.
pub(crate) fn run_batch<T>(
    network: &Network,
    pictures: Vec<Picture>,
    normalization: Normalization,
    scratch: &mut Scratch,
    decode: impl Decode<T>,
) -> Result<Vec<Outcome<T>>, ServiceError> {
    let batch = pictures.len();
    let (width, height) = pictures.first().map_or((0, 0), Picture::size);
    let Scratch { planes, outputs } = scratch;
    let mut data = mem::take(planes);
    data.resize(3 * batch * width * height, 0.0);
    // Each picture is freed before the network runs.
    for (planes, picture) in data.chunks_exact_mut((3 * width * height).max(1)).zip(pictures) {
        picture.write_planes(normalization, planes);
    }
    let mut input = Array { dims: vec![batch, 3, height, width], data };
    let ran = network.run_into(&mut input, outputs);
    *planes = input.data;
    ran?;
    // Networks for one picture, such as SCRFD, may leave the batch out of their outputs.
    for Array { dims, data } in &mut *outputs {
        if data.is_empty() {
            return Err(ServiceError::Batch { batch, given: dims.clone() });
        }
        if dims.first() == Some(&batch) {
            dims.remove(0);
        } else if batch != 1 {
            return Err(ServiceError::Batch { batch, given: dims.clone() });
        }
    }
    let decode = |outputs: &[Array]| decode(outputs, width, height).map_err(ServiceError::Outputs);
    if batch == 1 {
        return Ok(vec![decode(outputs)]);
    }
    let of_picture = |n: usize| {
        let part = |Array { dims, data }: &Array| {
            let size = data.len() / batch;
            Array { dims: dims.clone(), data: data.iter().skip(n * size).take(size).copied().collect() }
        };
        outputs.iter().map(part).collect::<Vec<_>>()
    };
    Ok((0..batch).map(|n| decode(&of_picture(n))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_become_planes() {
        let mut planes = [0.0; 6];
        let picture = Picture { width: 2, height: 1, data: vec![1, 2, 3, 4, 5, 6] };
        picture.write_planes(Normalization::default(), &mut planes);
        assert_eq!(planes, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let normalization = Normalization { mean: [1.0, 2.0, 0.0], factor: [1.0, 0.5, 2.0] };
        picture.write_planes(normalization, &mut planes);
        assert_eq!(planes, [0.0, 3.0, 0.0, 1.5, 6.0, 12.0]);
    }

    #[test]
    fn crops_are_turned_into_the_order_of_the_network() {
        let crop = RgbImage { width: 2, height: 1, data: vec![1, 2, 3, 4, 5, 6] };
        let size = Size { width: 2, height: 1 };
        let data = |order| Picture::of_crops(std::slice::from_ref(&crop), size, order).unwrap()[0].data.clone();
        assert_eq!(data(ChannelOrder::Rgb), [1, 2, 3, 4, 5, 6]);
        assert_eq!(data(ChannelOrder::Bgr), [3, 2, 1, 6, 5, 4]);
        let error = Picture::of_crops(std::slice::from_ref(&crop), Size { width: 1, height: 2 }, ChannelOrder::Rgb)
            .unwrap_err();
        assert!(error.contains("2x1"), "{error}");
    }

    #[test]
    fn a_batch_has_pictures_of_one_size_in_their_order() {
        let queue = Queue::<u8> { waiting: VecDeque::new(), closed: false, used: None };
        let (not_empty, not_full) = (Condvar::new(), Condvar::new());
        let shared = Shared { queue: Mutex::new(queue), not_empty, not_full, capacity: 16 };
        let sizes = [(8, 4), (4, 8), (8, 4), (8, 4), (4, 8)];
        for (n, (width, height)) in (0..).zip(sizes) {
            drop(shared.submit(Picture { width, height, data: vec![n] }, Arc::default()));
        }
        let next = || {
            let batch = shared.next_batch(2, &mut Scratch::default()).unwrap();
            batch.into_iter().map(|request| request.picture.data[0]).collect::<Vec<_>>()
        };
        assert_eq!([next(), next(), next()], [vec![0, 2], vec![1, 4], vec![3]]);
    }
}
