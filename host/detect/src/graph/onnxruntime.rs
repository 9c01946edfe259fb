//! Runs a network by ONNX Runtime, where its shared library is at hand.
//!
//! The library is loaded once in a process, from the file that is asked for first, and stays. Its threads sleep while there is
//! nothing to do: what runs beside them is FFmpeg and the other stages of jobs.
//!
//! All networks take the memory of their runs from one arena, which grows by what is asked for. In a first run ONNX Runtime asks for
//! each array by itself and notes which are there at the same time; from then on it asks for all of them at once. What the first
//! run took is given back at its end, since nothing else would fit into the pieces.

use std::{
    collections::HashSet,
    path::Path,
    ptr,
    sync::{Arc, OnceLock},
};

use ort::{
    AsPointer,
    environment::Environment,
    logging::LogLevel,
    memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType},
    session::{RunOptions, Session, builder::GraphOptimizationLevel},
    value::TensorRef,
};
use parking_lot::Mutex;

use super::{Array, NetworkError, lanes::Pool};
use crate::device::Lanes;

/// ONNX Runtime, ready to run networks. Cheap to clone.
#[derive(Clone)]
pub(crate) struct OnnxRuntime(&'static Environment);

impl OnnxRuntime {
    /// Loads the library, unless one was loaded before: that one stays.
    pub(crate) fn load(library: &Path) -> Result<Self, String> {
        static LOADED: OnceLock<Environment> = OnceLock::new();
        static TURN: Mutex<()> = Mutex::new(());
        let load = || {
            if !library.is_file() {
                return Err(format!("there is no file {}", library.display()));
            }
            let environment = ort::init_from(library).map_err(|e| e.to_string())?;
            let environment = environment.with_name("ocellus").with_telemetry(false).with_logger(Arc::new(log));
            let environment = environment.build().map_err(|e| e.to_string())?;
            environment.set_log_level(LogLevel::Warning);
            share_arena(&environment).map_err(|e| e.to_string())?;
            Ok(environment)
        };
        let _turn = TURN.lock();
        match LOADED.get() {
            Some(environment) => Ok(Self(environment)),
            None => load().map(|environment| Self(LOADED.get_or_init(|| environment))),
        }
    }

    /// Makes a network ready whose input has the shape that the file declares.
    pub(super) fn open(&self, name: &str, network: &[u8], lanes: Lanes) -> Result<Sessions, NetworkError> {
        let open = |_| -> ort::Result<Session> {
            let builder = Session::builder(self.0)?;
            let builder = builder.with_intra_threads(lanes.threads)?.with_intra_op_spinning(false)?.with_env_allocators()?;
            builder.with_optimization_level(GraphOptimizationLevel::Level3)?.commit_from_memory(network)
        };
        let lane = |n| Ok(Lane { session: open(n)?, ran: HashSet::new() });
        let sessions = (0..lanes.count).map(lane).collect::<ort::Result<Vec<_>>>();
        let sessions = sessions.map_err(|e| NetworkError::Malformed { file: name.into(), reason: e.to_string() })?;
        Ok(Sessions(Pool::new(sessions)))
    }
}

/// What the library has to say is for the log. It warns of files that declare other shapes than they are run with.
fn log(level: LogLevel, _category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::warn!("ONNX Runtime: {message}"),
        LogLevel::Warning => tracing::debug!("ONNX Runtime: {message}"),
        LogLevel::Info | LogLevel::Verbose => {}
    }
}

/// The arena of all sessions that want one.
#[allow(unsafe_code, reason = "ort has no other interface to it")]
fn share_arena(environment: &Environment) -> ort::Result<()> {
    const AS_REQUESTED: i32 = 1;
    const DEFAULT: i32 = -1;
    let memory = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Arena, MemoryType::Default)?;
    let mut config = ptr::null_mut();
    let api = ort::api();
    // SAFETY: the pointers are to things that live until the calls return; the library copies what it keeps. It hands out a
    // configuration where it does not give an error, and that is released once.
    unsafe {
        ort::Error::result_from_status((api.CreateArenaCfg)(0, AS_REQUESTED, DEFAULT, DEFAULT, &raw mut config))?;
        let registered = (api.CreateAndRegisterAllocator)(environment.ptr().cast_mut(), memory.ptr(), config);
        (api.ReleaseArenaCfg)(config);
        ort::Error::result_from_status(registered)
    }
}

/// A network, once for each lane.
pub(super) struct Sessions(Pool<Lane>);

struct Lane {
    session: Session,
    /// The shapes of inputs that it has run.
    ran: HashSet<Vec<usize>>,
}

impl Sessions {
    /// The named outputs, in the order of the file.
    pub(super) fn run(&self, input: &Array) -> Result<Vec<(String, Array)>, NetworkError> {
        let ran = self.0.with(|lane| lane.run(input));
        ran.map_err(|e| NetworkError::Run { node: "the network".into(), reason: e.to_string() })
    }
}

impl Lane {
    fn run(&mut self, Array { dims, data }: &Array) -> ort::Result<Vec<(String, Array)>> {
        let input = TensorRef::from_array_view((dims.as_slice(), data.as_slice()))?;
        let mut first;
        let outputs = if self.ran.contains(dims) {
            self.session.run(ort::inputs![input])?
        } else {
            self.ran.insert(dims.clone());
            first = RunOptions::new()?;
            first.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
            self.session.run_with_options(ort::inputs![input], &first)?
        };
        let array = |(name, value): (&str, ort::value::ValueRef<'_>)| {
            let (shape, data) = value.try_extract_tensor::<f32>()?;
            let dims = shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
            Ok((name.to_owned(), Array { dims, data: data.to_vec() }))
        };
        outputs.iter().map(array).collect()
    }
}
