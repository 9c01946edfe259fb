//! One thread that owns a network, and the queue before it.
//!
//! Jobs put pictures into the queue and wait; the thread takes the oldest and, where the device gains from it, all that
//! wait with the same size, up to the batch that the network takes. The queue is bounded: who comes when it is full
//! waits, so memory is too. The thread ends when the service is dropped; who still waits then is told so.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use parking_lot::{Condvar, Mutex};

use crate::graph::{Array, Network, NetworkError};

/// What became of one picture: the network's outputs for it, each without the batch dimension.
pub(crate) type Outcome = Result<Vec<Array>, ServiceError>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("the network gives {given:?} for {batch} pictures")]
    Batch { batch: usize, given: Vec<usize> },
    #[error("the detector is being shut down")]
    Closed,
}

/// One picture, `[channels, height, width]`.
struct Request {
    picture: Array,
    reply: mpsc::Sender<Outcome>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Request>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    /// A picture came, or the queue was closed.
    came: Condvar,
    /// There is room, or the queue was closed.
    room: Condvar,
    capacity: usize,
}

pub(crate) struct Service {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Service {
    /// Starts the thread. `max_batch` is at least 1.
    pub(crate) fn start(name: &str, network: Network, max_batch: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::default()),
            came: Condvar::new(),
            room: Condvar::new(),
            // One batch that runs next, one that gathers meanwhile.
            capacity: 2 * max_batch,
        });
        let for_thread = shared.clone();
        let serve = move || {
            while let Some(batch) = for_thread.next_batch(max_batch) {
                answer(&network, batch);
            }
        };
        let thread = thread::Builder::new().name(format!("detect {name}")).spawn(serve)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs pictures through the network and waits for all of them; the outcomes are in the pictures' order.
    pub(crate) fn run(&self, pictures: Vec<Array>) -> Vec<Outcome> {
        let replies = pictures.into_iter().map(|picture| self.shared.submit(picture));
        // All are submitted before the first is waited for, so that they can share a batch.
        let replies: Vec<_> = replies.collect();
        replies.into_iter().map(|reply| reply.recv().unwrap_or(Err(ServiceError::Closed))).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        {
            let mut queue = self.shared.queue.lock();
            queue.closed = true;
            // Dropping a request tells who waits for it.
            queue.waiting.clear();
        }
        self.shared.came.notify_all();
        self.shared.room.notify_all();
        if let Some(thread) = self.thread.take() {
            // It answers faults and does not panic; if it did, there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn submit(&self, picture: Array) -> mpsc::Receiver<Outcome> {
        let (reply, outcome) = mpsc::channel();
        let mut queue = self.queue.lock();
        self.room.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.len() >= self.capacity);
        if !queue.closed {
            queue.waiting.push_back(Request { picture, reply });
            self.came.notify_one();
        }
        outcome
    }

    /// The oldest picture and those of its size behind it; `None` once closed.
    fn next_batch(&self, max_batch: usize) -> Option<Vec<Request>> {
        let mut queue = self.queue.lock();
        self.came.wait_while(&mut queue, |queue| !queue.closed && queue.waiting.is_empty());
        let first = queue.waiting.pop_front()?;
        let mut batch = vec![first];
        let mut others = VecDeque::with_capacity(queue.waiting.len());
        while let Some(request) = queue.waiting.pop_front() {
            let same = batch.first().is_some_and(|first| first.picture.dims == request.picture.dims);
            if same && batch.len() < max_batch { batch.push(request) } else { others.push_back(request) }
        }
        queue.waiting = others;
        drop(queue);
        self.room.notify_all();
        Some(batch)
    }
}

fn answer(network: &Network, batch: Vec<Request>) {
    let (pictures, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|request| (request.picture, request.reply)).unzip();
    let count = pictures.len();
    match run_batch(network, pictures) {
        Ok(outcomes) => {
            for (reply, outcome) in replies.into_iter().zip(outcomes) {
                // Who does not wait any more has been stopped.
                let _ = reply.send(Ok(outcome));
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

/// Runs pictures of one size at once; gives the outputs picture by picture.
pub(crate) fn run_batch(network: &Network, pictures: Vec<Array>) -> Result<Vec<Vec<Array>>, ServiceError> {
    let batch = pictures.len();
    let mut dims = vec![batch];
    dims.extend(pictures.first().map(|p| p.dims.clone()).unwrap_or_default());
    let mut pictures = pictures.into_iter();
    let mut data = pictures.next().map(|p| p.data).unwrap_or_default();
    for picture in pictures {
        data.extend_from_slice(&picture.data);
    }
    let outputs = network.run(Array { dims, data })?;
    let mut by_picture = vec![Vec::with_capacity(outputs.len()); batch];
    for (_, Array { dims, data }) in outputs {
        let (first, rest) = dims.split_first().ok_or(ServiceError::Batch { batch, given: vec![] })?;
        let size: usize = rest.iter().product();
        if *first != batch || size == 0 {
            return Err(ServiceError::Batch { batch, given: dims });
        }
        for (outputs, data) in by_picture.iter_mut().zip(data.chunks_exact(size)) {
            outputs.push(Array { dims: rest.to_vec(), data: data.to_vec() });
        }
    }
    Ok(by_picture)
}
