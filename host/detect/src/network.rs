//! Network: a file as its authors published it, loaded on a device and run from many threads.
//!
//! An ONNX file, or the two files of an OpenVINO network. Owns the weights and the workers, and
//! picks the engine: ONNX Runtime where the device has it, else the graph runner on burn.
//! Independent of the network's purpose. A network can be released while nobody runs it; the next
//! run loads it again. Dropping it frees all its memory.
//!
//! Guarantees: everything that is unsupported is found at load time and reported at once; no file
//! and no input makes a call panic.

use std::{fs, path::Path, sync::Arc};

use parking_lot::Mutex;
use rayon::ThreadPool;

use crate::{
    array::{Array, InputShape},
    device::Device,
    graph::{Buffers, Plan},
    network_error::{NetworkError, catch_panic},
    onnx_file,
    onnxruntime::LoadedSession,
    openvino,
    pool::Pool,
};

/// The content of a network's files.
#[derive(Clone, Debug)]
pub enum NetworkFile {
    /// An ONNX file.
    Onnx(Vec<u8>),
    /// An OpenVINO network: IR version 10 or 11, operation sets 1 to 11, fixed shapes.
    OpenVino {
        /// The `.xml` file.
        xml: Vec<u8>,
        /// The `.bin` file.
        weights: Vec<u8>,
    },
}

impl From<Vec<u8>> for NetworkFile {
    fn from(onnx: Vec<u8>) -> Self {
        Self::Onnx(onnx)
    }
}

/// A network with one input, pictures, and its weights on a device. Can be shared between threads.
///
/// ```no_run
/// use ocellus_detect::{Array, Device, DeviceChoice, InputShape, Network};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let device = Device::choose(DeviceChoice::Cpu, None)?;
/// let shape = InputShape::single(416, 416);
/// let network = Network::load("yolox_nano_416.onnx".as_ref(), shape, &device)?;
/// let grey = Array { dims: vec![1, 3, 416, 416], data: vec![128.0; 3 * 416 * 416] };
/// for (name, output) in network.run(grey)? {
///     println!("{name}: {:?}", output.dims);
/// }
/// # Ok(())
/// # }
/// ```
pub struct Network {
    name: String,
    read: Box<dyn Fn() -> Result<NetworkFile, NetworkError> + Send + Sync>,
    device: Device,
    shape: InputShape,
    /// `None` while it is released.
    engine: Mutex<Option<Arc<Engine>>>,
}

enum Engine {
    Burn {
        plan: Plan,
        /// `None` on a GPU, which does one run at a time.
        workers: Option<Pool<Worker>>,
    },
    OnnxRuntime(LoadedSession),
}

/// State of one concurrent run on the CPU.
struct Worker {
    threads: ThreadPool,
    buffers: Buffers,
}

impl Network {
    /// Loads a network whose files `read` returns, now and again after [`Network::release`].
    /// `name` is for errors; `shape` replaces the input shape that an ONNX file declares, and has
    /// to equal the one that an OpenVINO file declares.
    ///
    /// # Errors
    /// Those of `read`; [`NetworkError::Malformed`], [`NetworkError::Unsupported`].
    pub fn open(
        name: &str,
        read: impl Fn() -> Result<NetworkFile, NetworkError> + Send + Sync + 'static,
        shape: InputShape,
        device: &Device,
    ) -> Result<Self, NetworkError> {
        let engine = Mutex::new(None);
        let network = Self { name: name.to_owned(), read: Box::new(read), device: device.clone(), shape, engine };
        network.engine()?;
        Ok(network)
    }

    /// Loads a network from an ONNX file, or from an `.xml` file with a `.bin` file of the same
    /// name beside it.
    ///
    /// # Errors
    /// As [`Network::open`], and [`NetworkError::Read`].
    pub fn load(file: &Path, shape: InputShape, device: &Device) -> Result<Self, NetworkError> {
        let (name, file) = (file.display().to_string(), file.to_owned());
        let read_file = |file: &Path| {
            fs::read(file).map_err(|e| NetworkError::Read { file: file.display().to_string(), reason: e.to_string() })
        };
        let read = move || {
            let bytes = read_file(&file)?;
            Ok(if file.extension().is_some_and(|extension| extension == "xml") {
                NetworkFile::OpenVino { xml: bytes, weights: read_file(&file.with_extension("bin"))? }
            } else {
                NetworkFile::Onnx(bytes)
            })
        };
        Self::open(&name, read, shape, device)
    }

    /// Loads a network from the bytes of its files, and keeps them to load it again.
    ///
    /// # Errors
    /// As [`Network::open`].
    pub fn parse(
        name: &str,
        file: impl Into<NetworkFile>,
        shape: InputShape,
        device: &Device,
    ) -> Result<Self, NetworkError> {
        let file = file.into();
        Self::open(name, move || Ok(file.clone()), shape, device)
    }

    /// Names of the outputs, in the order of the file.
    ///
    /// # Errors
    /// After [`Network::release`], those of [`Network::open`].
    pub fn output_names(&self) -> Result<Vec<String>, NetworkError> {
        Ok(self.engine()?.output_names())
    }

    /// Limit of concurrent runs; at least 1.
    pub fn workers(&self) -> usize {
        self.device.parallelism().map_or(1, |parallelism| parallelism.workers)
    }

    /// Frees the weights and the workers, after runs in progress. Returns whether it was
    /// loaded.
    pub fn release(&self) -> bool {
        self.engine.lock().take().is_some()
    }

    /// Runs the network on a batch, `[batch, 3, height, width]`, and returns its outputs with their
    /// names, in the order of the file.
    ///
    /// # Errors
    /// [`NetworkError::Input`], [`NetworkError::Run`]; after [`Network::release`] also those of
    /// [`Network::open`].
    pub fn run(&self, mut input: Array) -> Result<Vec<(String, Array)>, NetworkError> {
        let mut outputs = Vec::new();
        self.run_into(&mut input, &mut outputs)?;
        Ok(self.output_names()?.into_iter().zip(outputs).collect())
    }

    /// [`Network::run`] for repeated calls: replaces `outputs` by those of the run, in the order of
    /// the file, and reuses their memory where the engine can. Leaves the input's data as it was,
    /// or takes it and leaves it empty.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn run_into(&self, input: &mut Array, outputs: &mut Vec<Array>) -> Result<(), NetworkError> {
        if !self.shape.accepts(&input.dims) || input.data.len() != input.dims.iter().product::<usize>() {
            return Err(NetworkError::Input { wanted: self.shape, given: input.dims.clone() });
        }
        let engine = self.engine()?;
        let (plan, workers) = match &*engine {
            Engine::OnnxRuntime(session) => return session.run(input, outputs),
            Engine::Burn { plan, workers } => (plan, workers),
        };
        let input = std::mem::take(input);
        let ran = match workers {
            Some(workers) => {
                workers.with(|Worker { threads, buffers }| catch_panic(|| threads.install(|| plan.run(input, buffers))))
            }
            None => catch_panic(|| plan.run(input, &Buffers::default())),
        };
        *outputs = ran.unwrap_or_else(|reason| Err(NetworkError::Run { node: "the network".into(), reason }))?;
        Ok(())
    }

    /// The engine, loaded where it was released.
    fn engine(&self) -> Result<Arc<Engine>, NetworkError> {
        let mut engine = self.engine.lock();
        if let Some(engine) = &*engine {
            return Ok(Arc::clone(engine));
        }
        Ok(Arc::clone(engine.insert(Arc::new(self.load_engine()?))))
    }

    fn load_engine(&self) -> Result<Engine, NetworkError> {
        let Self { name, device, shape, .. } = self;
        let (model, outputs) = match (self.read)()? {
            NetworkFile::Onnx(bytes) => onnx_file::parse(name, bytes, *shape)?,
            NetworkFile::OpenVino { xml, weights } => {
                let model = openvino::read(name, &xml, &weights, *shape)?;
                let outputs = onnx_file::outputs(&model);
                (model, outputs)
            }
        };
        let parallelism = device.parallelism();
        if let Some((runtime, parallelism)) = device.onnx_runtime().zip(parallelism) {
            return Ok(Engine::OnnxRuntime(LoadedSession::open(runtime, name, model, parallelism)?));
        }
        let parsed = onnx_file::simplify(name, model, outputs)?;
        // Planning uploads the weights, and burn panics on unexpected input.
        let plan = catch_panic(|| Plan::new(name, &parsed, *shape, device))
            .unwrap_or_else(|reason| Err(NetworkError::Malformed { file: name.clone(), reason }))?;
        let workers = parallelism.map(|parallelism| {
            let worker = |threads| Worker { threads, buffers: Buffers::default() };
            parallelism.thread_pools().map(|pools| Pool::new(pools.into_iter().map(worker).collect()))
        });
        let workers = workers
            .transpose()
            .map_err(|e| NetworkError::Run { node: "the network".into(), reason: format!("no threads: {e}") })?;
        Ok(Engine::Burn { plan, workers })
    }
}

impl Engine {
    /// In the order of the file.
    fn output_names(&self) -> Vec<String> {
        match self {
            Self::Burn { plan, .. } => plan.output_names().map(str::to_owned).collect(),
            Self::OnnxRuntime(session) => session.names().collect(),
        }
    }
}
