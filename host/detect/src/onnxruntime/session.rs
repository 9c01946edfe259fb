//! Session of ONNX Runtime: one network, run from many threads.
//!
//! All workers of a network run one session, so that its weights are in memory once. The concurrent
//! runs of all networks together are limited to the workers of the device; they use the memory of
//! [`ScratchPool`]. Dropping a session frees the idle part of that memory.

use std::{
    collections::HashMap,
    ffi::{CString, NulError},
    io,
    ptr::{self, NonNull},
    sync::Arc,
};

use onnx_ir::{Message, ModelProto};
use ort::{
    AsPointer,
    session::{Session, builder::GraphOptimizationLevel},
    value::{DynValue, TensorRef, TensorRefMut},
};
use parking_lot::Mutex;
use tempfile::NamedTempFile;

use super::{library::OnnxRuntime, scratch::ScratchPool};
use crate::{array::Array, network_error::NetworkError, parallelism::Parallelism};

/// A loaded network.
pub(crate) struct LoadedSession {
    session: Session,
    input: CString,
    /// Names, in the order of the file.
    outputs: Vec<CString>,
    scratch: &'static ScratchPool,
    /// Shapes of the outputs, by the shape of an input that has run before. Locked during the first
    /// run with a shape, which takes more memory than later ones.
    output_shapes: Mutex<HashMap<Vec<usize>, OutputShapes>>,
}

/// Shapes of inputs that are remembered. A recording has one; the library itself keeps a few
/// kilobytes for each shape, of which a manifest allows a few hundred.
const MAX_SHAPES: usize = 64;

/// Shapes of all outputs, in the order of the file; `None` where they vary from run to run.
type OutputShapes = Option<Arc<[Vec<usize>]>>;

impl LoadedSession {
    /// Loads a network whose input has the shape that the file declares. `name` is for errors.
    pub(crate) fn open(
        runtime: &OnnxRuntime,
        name: &str,
        network: ModelProto,
        parallelism: Parallelism,
    ) -> Result<Self, NetworkError> {
        let open = || -> ort::Result<Session> {
            let builder = Session::builder(runtime.environment())?
                .with_intra_threads(parallelism.shared_pool_threads())?
                // Idle threads sleep: FFmpeg and the other stages of jobs need the cores.
                .with_intra_op_spinning(false)?
                .with_env_allocators()?;
            let mut builder = builder.with_optimization_level(GraphOptimizationLevel::Level3)?;
            // The library keeps a copy of a network that it loads from memory, but none of a file.
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
        Ok(Self { session, input, outputs, scratch: runtime.scratch(), output_shapes: Mutex::default() })
    }

    /// Names of the outputs, in the order of the file.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.outputs.iter().map(|name| name.to_string_lossy().into_owned())
    }

    /// Runs the network once; blocks while all workers are busy. Replaces `outputs` by those of the
    /// run, in the order of the file, and reuses their memory where the shapes are known.
    pub(crate) fn run(&self, input: &Array, outputs: &mut Vec<Array>) -> Result<(), NetworkError> {
        let ran = self.scratch.with_scratch(|| self.run_with_scratch(input, outputs));
        ran.map_err(|e: ort::Error| NetworkError::Run { node: "the network".into(), reason: e.to_string() })
    }

    fn run_with_scratch(&self, input: &Array, outputs: &mut Vec<Array>) -> ort::Result<()> {
        let known = {
            let mut output_shapes = self.output_shapes.lock();
            match output_shapes.get(&input.dims) {
                Some(shapes) => shapes.clone(),
                None => {
                    *outputs = self.run_allocating(input)?;
                    let shapes = outputs.iter().map(|output| output.dims.clone()).collect();
                    if output_shapes.len() >= MAX_SHAPES {
                        output_shapes.clear();
                    }
                    output_shapes.insert(input.dims.clone(), Some(shapes));
                    return Ok(());
                }
            }
        };
        if let Some(shapes) = known {
            match self.run_into(input, &shapes, outputs) {
                Ok(()) => return Ok(()),
                // Any other failure repeats in the run below, which returns it.
                Err(error) => tracing::debug!(%error, "a network's outputs are of another shape"),
            }
            self.output_shapes.lock().insert(input.dims.clone(), None);
        }
        *outputs = self.run_allocating(input)?;
        Ok(())
    }

    /// Runs with a value for each output; the library allocates those that are null.
    #[allow(unsafe_code, reason = "ort has no interface for concurrent runs of one session")]
    fn call(&self, Array { dims, data }: &Array, outputs: &mut [*mut ort::sys::OrtValue]) -> ort::Result<()> {
        let input = TensorRef::from_array_view((dims.as_slice(), data.as_slice()))?;
        let names: Vec<_> = self.outputs.iter().map(|name| name.as_ptr()).collect();
        if outputs.len() != names.len() {
            return Err(ort::Error::new(format!("{} places for {} outputs", outputs.len(), names.len())));
        }
        // SAFETY: all pointers are valid until the call returns, and the counts are the lengths of
        // what they point to. The C API documents `Run` as safe to call on one session from many
        // threads at once; ort is stricter for devices other than the CPU, which these sessions do
        // not use.
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

    /// Writes the outputs, whose shapes are known, into the caller's memory.
    fn run_into(&self, input: &Array, shapes: &[Vec<usize>], outputs: &mut Vec<Array>) -> ort::Result<()> {
        outputs.resize_with(shapes.len(), Array::default);
        for (output, dims) in outputs.iter_mut().zip(shapes) {
            output.dims.clone_from(dims);
            output.data.resize(dims.iter().product(), 0.0);
        }
        let values = outputs
            .iter_mut()
            .map(|Array { dims, data }| TensorRefMut::from_array_view_mut((dims.as_slice(), data.as_mut_slice())));
        let values = values.collect::<ort::Result<Vec<_>>>()?;
        let mut pointers: Vec<_> = values.iter().map(|value| value.ptr().cast_mut()).collect();
        self.call(input, &mut pointers)
    }

    #[allow(unsafe_code, reason = "takes ownership of values from a C interface")]
    fn run_allocating(&self, input: &Array) -> ort::Result<Vec<Array>> {
        let mut pointers = vec![ptr::null_mut(); self.outputs.len()];
        self.call(input, &mut pointers)?;
        // All values are owned before the first is read, so that an error leaks none.
        let taken = pointers.into_iter().map(|pointer| {
            // SAFETY: the call passes ownership of its outputs to the caller; they come from the
            // session's allocator.
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

fn temporary_file(network: &ModelProto) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    network.write_to_writer(&mut file).map_err(io::Error::other)?;
    Ok(file)
}

impl Drop for LoadedSession {
    fn drop(&mut self) {
        // The remaining networks may need less.
        self.scratch.free_idle();
    }
}

#[cfg(test)]
mod tests {
    use std::{env::consts, path::PathBuf};

    use super::*;

    /// A length-delimited field of the protobuf encoding, up to 16 kB.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        let (low, high) = (bytes.len() % 128, bytes.len() / 128);
        let length = if high == 0 { vec![low as u8] } else { vec![low as u8 | 0x80, high as u8] };
        [&[number << 3 | 2], length.as_slice(), bytes].concat()
    }

    /// A varint field of the protobuf encoding, below 128.
    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    /// A ValueInfoProto of floats.
    fn value(name: &str, dims: &[&[u8]]) -> Vec<u8> {
        let dims: Vec<u8> = dims.iter().flat_map(|dim| field(1, dim)).collect();
        let tensor = [number(1, 1), field(2, &dims)].concat();
        [field(1, name.as_bytes()), field(2, &field(1, &tensor))].concat()
    }

    fn node(kind: &str, from: &str, to: &str, attribute: &[u8]) -> Vec<u8> {
        [field(1, from.as_bytes()), field(2, to.as_bytes()), field(4, kind.as_bytes()), attribute.to_vec()].concat()
    }

    /// A network with an output whose size depends on the values of the input (the indices of those
    /// that are not zero), and one of the input's size (its negative).
    fn nonzero() -> ModelProto {
        // The attribute `to` is an integer (type 2), here FLOAT. The tag of its type, field 20,
        // takes two bytes.
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

    fn open(model: ModelProto) -> Option<LoadedSession> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/assets/onnxruntime");
        let library = folder.join(format!("{}onnxruntime{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
        if !library.is_file() {
            println!("skipped: there is no package of ONNX Runtime for this machine, or cargo xtask setup has not run");
            return None;
        }
        let runtime = OnnxRuntime::load(&library, 2).unwrap();
        Some(LoadedSession::open(&runtime, "a test", model, Parallelism::of_cores(1)).unwrap())
    }

    #[test]
    fn outputs_whose_size_varies_are_allocated_by_each_run() {
        let Some(network) = open(nonzero()) else { return };
        let mut outputs = Vec::new();
        for data in
            [[1.0, 0.0, 0.0, 2.0, 0.0, 0.0], [0.0, 3.0, 4.0, 0.0, 0.0, 5.0], [0.0, 0.0, 0.0, 0.0, 0.0, 6.0], [7.0; 6]]
        {
            network.run(&Array { dims: vec![1, 6], data: data.to_vec() }, &mut outputs).unwrap();
            let columns: Vec<f32> = (0_u8..6).filter(|n| data[usize::from(*n)] != 0.0).map(f32::from).collect();
            let indices = [vec![0.0; columns.len()], columns.clone()].concat();
            assert_eq!(outputs[0], Array { dims: vec![2, columns.len()], data: indices });
            assert_eq!(outputs[1], Array { dims: vec![1, 6], data: data.map(|v| -v).to_vec() });
        }
    }

    #[test]
    fn outputs_of_a_fixed_size_reuse_their_memory() {
        let mut model = nonzero();
        model.graph.as_mut().unwrap().output.remove(0);
        let Some(network) = open(model) else { return };
        let mut outputs = Vec::new();
        let mut run = |value: f32| {
            network.run(&Array { dims: vec![1, 6], data: vec![value; 6] }, &mut outputs).unwrap();
            assert_eq!(outputs, [Array { dims: vec![1, 6], data: vec![-value; 6] }]);
            outputs[0].data.as_ptr()
        };
        let memory = run(1.0);
        assert_eq!((run(2.0), run(3.0)), (memory, memory));
    }
}
