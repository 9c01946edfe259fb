//! Runs a network by ONNX Runtime, where its shared library is at hand.
//!
//! The library is loaded once in a process, from the file that is asked for first, and stays. Its
//! threads sleep while there is nothing to do: what runs beside them is FFmpeg and the other stages
//! of jobs.
//!
//! The workers of a network run one session, so that its weights are in memory once.
//!
//! Of all networks together as many run at the same time as the device has workers, in memory that
//! they share (`scratch`).

use std::{
    collections::HashMap,
    ffi::{CString, NulError},
    io,
    path::Path,
    ptr::{self, NonNull},
    sync::{Arc, OnceLock},
};

use onnx_ir::{Message, ModelProto};
use ort::{
    AsPointer,
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
    value::{DynValue, TensorRef, TensorRefMut},
};
use parking_lot::Mutex;
use tempfile::NamedTempFile;

use super::{
    Array, NetworkError,
    scratch::{self, ScratchPool},
};
use crate::device::Workers;

/// ONNX Runtime, ready to run networks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OnnxRuntime(&'static Loaded);

struct Loaded {
    environment: Environment,
    scratch: ScratchPool,
}

impl OnnxRuntime {
    /// Loads the library, unless one was loaded before: that one stays. Runs at most `scratch`
    /// networks at the same time.
    pub(crate) fn load(library: &Path, scratch: usize) -> Result<Self, String> {
        static LOADED: OnceLock<Loaded> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let load = || {
            if !library.is_file() {
                return Err(format!("there is no file {}", library.display()));
            }
            let environment = ort::init_from(library).map_err(|e| e.to_string())?;
            let environment = environment.with_name("ocellus").with_telemetry(false).with_logger(Arc::new(log));
            let environment = environment.build().map_err(|e| e.to_string())?;
            environment.set_log_level(LogLevel::Warning);
            scratch::register(&environment).map_err(|e| e.to_string())?;
            Ok(Loaded { environment, scratch: ScratchPool::new(scratch) })
        };
        let _turn = TURN.lock();
        match LOADED.get() {
            Some(loaded) => Ok(Self(loaded)),
            None => load().map(|loaded| Self(LOADED.get_or_init(|| loaded))),
        }
    }

    /// Makes a network ready whose input has the shape that the file declares.
    pub(super) fn open(&self, name: &str, network: ModelProto, workers: Workers) -> Result<Prepared, NetworkError> {
        // Each worker runs on its own thread, and what it shares out goes to the threads of all.
        let threads = workers.count * (workers.threads - 1) + 1;
        let open = || -> ort::Result<Session> {
            let builder = Session::builder(&self.0.environment)?
                .with_intra_threads(threads)?
                .with_intra_op_spinning(false)?
                .with_env_allocators()?;
            let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
            // From a file it takes piece by piece what lies in memory once more otherwise.
            let file = temporary_file(&network).map_err(|e| ort::Error::new(format!("no temporary file: {e}")))?;
            drop(network);
            builder.commit_from_file(file.path())
        };
        let malformed = |reason: String| NetworkError::Malformed { file: name.into(), reason };
        let session = open().map_err(|e| malformed(e.to_string()))?;
        let [input] = session.inputs() else {
            return Err(malformed(format!("{} inputs, where a detector has one", session.inputs().len())));
        };
        let names = || -> Result<_, NulError> {
            let outputs =
                session.outputs().iter().map(|output| CString::new(output.name())).collect::<Result<_, _>>()?;
            Ok((CString::new(input.name())?, outputs))
        };
        let (input, outputs) = names().map_err(|e| malformed(e.to_string()))?;
        Ok(Prepared { session, input, outputs, scratch: &self.0.scratch, ran: Mutex::default() })
    }
}

fn temporary_file(network: &ModelProto) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    network.write_to_writer(&mut file).map_err(io::Error::other)?;
    Ok(file)
}

/// What the library has to say is for the log. It warns of files that declare other shapes than
/// they are run with.
fn log(level: LogLevel, _category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::warn!("ONNX Runtime: {message}"),
        LogLevel::Warning => tracing::debug!("ONNX Runtime: {message}"),
        LogLevel::Info | LogLevel::Verbose => {}
    }
}

/// A network, ready to be run from as many threads as want to.
pub(super) struct Prepared {
    session: Session,
    input: CString,
    /// In the order of the file.
    outputs: Vec<CString>,
    scratch: &'static ScratchPool,
    /// By the shapes of inputs that it has run, those of the outputs. Held while it runs one for
    /// the first time, which takes more memory.
    ran: Mutex<HashMap<Vec<usize>, Shapes>>,
}

/// Of all outputs, in the order of the file; `None` where they are not the same in each run.
type Shapes = Option<Arc<[Vec<usize>]>>;

impl Prepared {
    /// What its outputs are called, in the order of the file.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().map(|name| name.to_string_lossy().into_owned())
    }

    /// The outputs, in the order of the file, into the memory of those of the run before where they
    /// are as large.
    pub(super) fn run(&self, input: &Array, outputs: &mut Vec<Array>) -> Result<(), NetworkError> {
        let ran = self.scratch.take(|| self.run_seated(input, outputs));
        ran.map_err(|e: ort::Error| NetworkError::Run { node: "the network".into(), reason: e.to_string() })
    }

    fn run_seated(&self, input: &Array, outputs: &mut Vec<Array>) -> ort::Result<()> {
        let known = {
            let mut ran = self.ran.lock();
            match ran.get(&input.dims) {
                Some(shapes) => shapes.clone(),
                None => {
                    *outputs = self.run_anew(input)?;
                    ran.insert(input.dims.clone(), Some(outputs.iter().map(|output| output.dims.clone()).collect()));
                    return Ok(());
                }
            }
        };
        if let Some(shapes) = known {
            match self.run_into(input, &shapes, outputs) {
                Ok(()) => return Ok(()),
                // Of another fault the run after it tells.
                Err(error) => tracing::debug!(%error, "a network's outputs are of another shape"),
            }
            self.ran.lock().insert(input.dims.clone(), None);
        }
        *outputs = self.run_anew(input)?;
        Ok(())
    }

    /// Runs with a place for each output, null for one that the library is to make.
    #[allow(unsafe_code, reason = "ort has no interface for runs of one session side by side")]
    fn call(&self, Array { dims, data }: &Array, outputs: &mut [*mut ort::sys::OrtValue]) -> ort::Result<()> {
        let input = TensorRef::from_array_view((dims.as_slice(), data.as_slice()))?;
        let names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        if outputs.len() != names.len() {
            return Err(ort::Error::new(format!("{} places for {} outputs", outputs.len(), names.len())));
        }
        // SAFETY: all pointers are to things that live until the call returns, as many names and
        // values as the counts say. That one session may be run from many threads at once is what
        // the library's C API promises of `Run`; ort is stricter for the sake of devices other than
        // the CPU, which these sessions do not use.
        unsafe {
            ort::Error::result_from_status((ort::api().Run)(
                self.session.ptr().cast_mut(),
                ptr::null(),
                &self.input.as_ptr(),
                &input.ptr(),
                1,
                names.as_ptr(),
                names.len(),
                outputs.as_mut_ptr(),
            ))
        }
    }

    /// Into memory of the caller's: none is made, and nothing copied.
    fn run_into(&self, input: &Array, shapes: &[Vec<usize>], outputs: &mut Vec<Array>) -> ort::Result<()> {
        outputs.resize_with(shapes.len(), Array::default);
        for (output, dims) in outputs.iter_mut().zip(shapes) {
            output.dims.clone_from(dims);
            output.data.resize(dims.iter().product(), 0.0);
        }
        let places = outputs
            .iter_mut()
            .map(|Array { dims, data }| TensorRefMut::from_array_view_mut((dims.as_slice(), data.as_mut_slice())));
        let places = places.collect::<ort::Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = places.iter().map(|place| place.ptr().cast_mut()).collect();
        self.call(input, &mut pointers)
    }

    #[allow(unsafe_code, reason = "outputs come from a C interface")]
    fn run_anew(&self, input: &Array) -> ort::Result<Vec<Array>> {
        let mut pointers = vec![ptr::null_mut(); self.outputs.len()];
        self.call(input, &mut pointers)?;
        // All are taken over before the first is looked at, so that each is released whatever
        // comes.
        let taken = pointers.into_iter().map(|pointer| {
            // SAFETY: the library hands its outputs over with the call, made by the session's
            // allocator.
            NonNull::new(pointer).map(|pointer| unsafe { DynValue::from_ptr(pointer, Some(self.session.allocator())) })
        });
        let taken: Vec<Option<DynValue>> = taken.collect();
        let array = |(name, value): (&CString, Option<DynValue>)| {
            let value = value.ok_or_else(|| ort::Error::new(format!("no output {}", name.to_string_lossy())))?;
            let (shape, data) = value.try_extract_tensor::<f32>()?;
            let dims = shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
            Ok(Array { dims, data: data.to_vec() })
        };
        self.outputs.iter().zip(taken).map(array).collect()
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // Nobody may want as much again.
        self.scratch.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::{env::consts, path::PathBuf};

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let (low, high) = (bytes.len() % 128, bytes.len() / 128);
        let length = if high == 0 { vec![low as u8] } else { vec![low as u8 | 0x80, high as u8] };
        [&[number << 3 | 2], length.as_slice(), bytes].concat()
    }

    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    /// A value of floats.
    fn value(name: &str, dims: &[&[u8]]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| field(1, dim)).collect();
        let tensor = [number(1, 1), field(2, &dims)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    }

    fn node(kind: &str, from: &str, to: &str, attribute: &[u8]) -> Vec<u8> {
        [field(1, from.as_bytes()), field(2, to.as_bytes()), field(4, kind.as_bytes()), attribute.to_vec()].concat()
    }

    /// Where the input is not zero, as floats, and the input's negative.
    fn places() -> ModelProto {
        // `to` is a number (type 2): floats. Tag 20 takes two bytes.
        let to_floats = field(5, &[field(1, b"to"), number(3, 1), vec![0xa0, 0x01, 2]].concat());
        let graph = [
            field(1, &node("NonZero", "x", "places", &[])),
            field(1, &node("Cast", "places", "floats", &to_floats)),
            field(1, &node("Neg", "x", "negative", &[])),
            field(2, b"g"),
            field(11, &value("x", &[&number(1, 1), &number(1, 6)])),
            field(12, &value("floats", &[&number(1, 2), &field(2, b"n")])),
            field(12, &value("negative", &[&number(1, 1), &number(1, 6)])),
        ];
        let model = [number(1, 8), field(7, &graph.concat()), field(8, &number(2, 13))].concat();
        ModelProto::parse_from_bytes(&model).unwrap()
    }

    fn open(model: ModelProto) -> Option<Prepared> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/onnxruntime");
        let library = folder.join(format!("{}onnxruntime{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
        if !library.is_file() {
            println!("not run: there is no package of ONNX Runtime for this machine, or cargo xtask setup has not run");
            return None;
        }
        let runtime = OnnxRuntime::load(&library, 2).unwrap();
        Some(runtime.open("a test", model, Workers { count: 1, threads: 1 }).unwrap())
    }

    #[test]
    fn outputs_that_are_of_another_size_each_time_have_new_memory() {
        let Some(network) = open(places()) else { return };
        let mut outputs = Vec::new();
        for data in
            [[1.0, 0.0, 0.0, 2.0, 0.0, 0.0], [0.0, 3.0, 4.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0, 6.0], [7.0; 6]]
        {
            network.run(&Array { dims: vec![1, 6], data: data.to_vec() }, &mut outputs).unwrap();
            let columns: Vec<f32> = (0_u8..6).filter(|n| data[usize::from(*n)] != 0.0).map(f32::from).collect();
            let places = [vec![0.0; columns.len()], columns.clone()].concat();
            assert_eq!(outputs[0], Array { dims: vec![2, columns.len()], data: places });
            assert_eq!(outputs[1], Array { dims: vec![1, 6], data: data.map(|v| -v).to_vec() });
        }
    }

    #[test]
    fn outputs_that_are_as_large_have_the_memory_of_those_before() {
        let mut model = places();
        model.graph.as_mut().unwrap().output.remove(0);
        let Some(network) = open(model) else { return };
        let mut outputs = Vec::new();
        let mut run = |value: f32| {
            network.run(&Array { dims: vec![1, 6], data: vec![value; 6] }, &mut outputs).unwrap();
            assert_eq!(outputs, [Array { dims: vec![1, 6], data: vec![-value; 6] }]);
            outputs[0].data.as_ptr()
        };
        let place = run(1.0);
        assert_eq!((run(2.0), run(3.0)), (place, place));
    }
}
