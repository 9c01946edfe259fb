//! Runs a network: an ONNX file as its authors published it, walked with burn tensors, or by ONNX
//! Runtime.
//!
//! `model` reads the file and fixes its input shape, `kernel` turns each operator into a closure,
//! `fusion` finds those that are one step, `plan` orders them, decides where each value lives and
//! hands a value's last use over by move; `onnxruntime` takes the place of those where the device
//! says so, and its runs share the memory of `scratch`; `workers` lets as many runs go on at the
//! same time as suits the device. Nothing here knows what a network is for.
//!
//! Guarantees: everything that cannot be run is found when the network is loaded, and named all at
//! once; no file and no input makes a call panic.

mod fusion;
mod kernel;
mod model;
mod onnxruntime;
mod plan;
mod pool;
mod scratch;
mod value;

use std::{
    any::Any,
    fs, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use burn::tensor::{Tensor, TensorData};
use parking_lot::Mutex;

use crate::Device;
use kernel::Buffers;
pub use model::InputShape;
pub(crate) use onnxruntime::OnnxRuntime;
use plan::Plan;
use pool::Pool;
use value::Value;

/// A dense array of floats, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    pub dims: Vec<usize>,
    pub data: Vec<f32>,
}

/// Why a network cannot be loaded or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    #[error("{file}: {reason}")]
    Read { file: String, reason: String },
    /// The file is no ONNX network, or one that the parser cannot follow.
    #[error("{file}: not a network that can be read: {reason}")]
    Malformed { file: String, reason: String },
    /// What is missing, one entry for each operator, with the nodes that use it.
    #[error("{file}: operators that cannot be run: {}", .operators.join("; "))]
    Unsupported { file: String, operators: Vec<String> },
    #[error("the network wants an input of {wanted}, not {given:?}")]
    Input { wanted: InputShape, given: Vec<usize> },
    #[error("running {node}: {reason}")]
    Run { node: String, reason: String },
}

/// What is wrong with one value or one operator; where, is added by who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fault(String);

impl Fault {
    fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    fn expected(wanted: &str, given: &str) -> Self {
        Self(format!("expected {wanted}, got {given}"))
    }
}

/// A network with one picture-like input, its weights on a device. Can be shared between threads.
///
/// It can be let go while nobody runs it; the next run makes it ready again.
pub struct Network {
    name: String,
    read: Box<dyn Fn() -> Result<Vec<u8>, NetworkError> + Send + Sync>,
    device: Device,
    shape: InputShape,
    runner: Mutex<Option<Arc<Runner>>>,
}

enum Runner {
    /// A CPU's workers have threads and memory of their own; a GPU has one worker.
    Burn(Plan, burn::tensor::Device, Option<Pool<(rayon::ThreadPool, Buffers)>>),
    OnnxRuntime(onnxruntime::Prepared),
}

impl Network {
    /// Makes a network ready whose ONNX file `read` gives, now and after [`Network::release`].
    /// `name` is for errors; `shape` takes the place of the input shape that the file declares.
    pub fn open(
        name: &str,
        read: impl Fn() -> Result<Vec<u8>, NetworkError> + Send + Sync + 'static,
        shape: InputShape,
        device: &Device,
    ) -> Result<Self, NetworkError> {
        let runner = Mutex::new(None);
        let network = Self { name: name.to_owned(), read: Box::new(read), device: device.clone(), shape, runner };
        network.runner()?;
        Ok(network)
    }

    /// A network from an ONNX file.
    pub fn load(file: &Path, shape: InputShape, device: &Device) -> Result<Self, NetworkError> {
        let (name, file) = (file.display().to_string(), file.to_owned());
        let read = move || {
            fs::read(&file).map_err(|e| NetworkError::Read { file: file.display().to_string(), reason: e.to_string() })
        };
        Self::open(&name, read, shape, device)
    }

    /// A network from the bytes of an ONNX file, which it keeps.
    pub fn parse(name: &str, bytes: Vec<u8>, shape: InputShape, device: &Device) -> Result<Self, NetworkError> {
        Self::open(name, move || Ok(bytes.clone()), shape, device)
    }

    /// Runs that go on at the same time, where that many are asked for; at least 1.
    pub fn workers(&self) -> usize {
        self.device.workers().map_or(1, |workers| workers.count)
    }

    /// Lets go of what it takes to run it; runs that are under way end first. Whether there was
    /// something.
    pub fn release(&self) -> bool {
        self.runner.lock().take().is_some()
    }

    fn runner(&self) -> Result<Arc<Runner>, NetworkError> {
        let mut runner = self.runner.lock();
        if let Some(runner) = &*runner {
            return Ok(Arc::clone(runner));
        }
        Ok(Arc::clone(runner.insert(Arc::new(self.prepare()?))))
    }

    fn prepare(&self) -> Result<Runner, NetworkError> {
        let Self { name, device, shape, .. } = self;
        let (model, outputs) = model::declare(name, (self.read)()?, *shape)?;
        let workers = device.workers();
        if let Some((runtime, workers)) = device.runtime().zip(workers) {
            return Ok(Runner::OnnxRuntime(runtime.open(name, model, workers)?));
        }
        let model = model::read(name, model, outputs)?;
        // Weights are uploaded while planning, and burn panics on what it does not expect.
        let plan = contained(|| Plan::new(name, &model, *shape, device))
            .unwrap_or_else(|reason| Err(NetworkError::Malformed { file: name.clone(), reason }))?;
        let pools = workers.map(|workers| {
            let pool =
                |_| Ok((rayon::ThreadPoolBuilder::new().num_threads(workers.threads).build()?, Buffers::default()));
            (0..workers.count).map(pool).collect::<Result<Vec<_>, _>>().map(Pool::new)
        });
        let pools = pools.transpose().map_err(|e: rayon::ThreadPoolBuildError| NetworkError::Run {
            node: "the network".into(),
            reason: format!("no threads: {e}"),
        })?;
        Ok(Runner::Burn(plan, device.burn().clone(), pools))
    }

    /// Runs the network on a batch, `[batch, channels, height, width]`, and waits for the named
    /// outputs.
    pub fn run(&self, mut input: Array) -> Result<Vec<(String, Array)>, NetworkError> {
        let mut outputs = Vec::new();
        self.run_into(&mut input, &mut outputs)?;
        Ok(self.runner()?.names().into_iter().zip(outputs).collect())
    }

    /// [`Network::run`] again and again: the outputs, in the order of the file, take the place of
    /// those of the run before, and their memory where the engine can. The input's data is as it
    /// was, or taken.
    pub fn run_into(&self, input: &mut Array, outputs: &mut Vec<Array>) -> Result<(), NetworkError> {
        if !self.shape.takes(&input.dims) || input.data.len() != input.dims.iter().product::<usize>() {
            return Err(NetworkError::Input { wanted: self.shape, given: input.dims.clone() });
        }
        let runner = self.runner()?;
        let (plan, device, pools) = match &*runner {
            Runner::OnnxRuntime(prepared) => return prepared.run(input, outputs),
            Runner::Burn(plan, device, pools) => (plan, device, pools),
        };
        let Array { dims, data } = mem::take(input);
        let run = |buffers: &Buffers| {
            let rank: [usize; 4] = std::array::from_fn(|i| dims.get(i).copied().unwrap_or(1));
            let input = Value::R4(Tensor::from_data(TensorData::new(data, rank), device));
            plan.run(input, buffers)
        };
        let ran = match pools {
            Some(pools) => pools.with(|(threads, buffers)| contained(|| threads.install(|| run(buffers)))),
            None => contained(|| run(&Buffers::default())),
        };
        *outputs = ran.unwrap_or_else(|reason| Err(NetworkError::Run { node: "the network".into(), reason }))?;
        Ok(())
    }
}

impl Runner {
    /// What the outputs are called.
    fn names(&self) -> Vec<String> {
        match self {
            Self::Burn(plan, ..) => plan.names().map(str::to_owned).collect(),
            Self::OnnxRuntime(prepared) => prepared.names().collect(),
        }
    }
}

/// Runs what may panic on input from outside, and gives the panic's text. The panic is still
/// printed by the process's panic hook, which belongs to the program.
fn contained<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    // What a panic leaves behind is dropped with the closure, so no broken state is seen
    // afterwards.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panic_text(panic.as_ref()))
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("the library gave up without a reason").lines().next().unwrap_or_default().to_owned()
}
