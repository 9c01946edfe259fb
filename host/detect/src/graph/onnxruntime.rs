//! Runs a network by ONNX Runtime, where its shared library is at hand.
//!
//! The library is loaded once in a process, from the file that is asked for first, and stays. Its threads sleep while there is
//! nothing to do: what runs beside them is FFmpeg and the other stages of jobs.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use ort::{
    environment::Environment,
    logging::LogLevel,
    session::{Session, builder::GraphOptimizationLevel},
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
            let builder = builder.with_intra_threads(lanes.threads)?.with_intra_op_spinning(false)?;
            builder.with_optimization_level(GraphOptimizationLevel::Level3)?.commit_from_memory(network)
        };
        let sessions = (0..lanes.count).map(open).collect::<ort::Result<Vec<_>>>();
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

/// A network, once for each lane.
pub(super) struct Sessions(Pool<Session>);

impl Sessions {
    /// The named outputs, in the order of the file.
    pub(super) fn run(&self, input: &Array) -> Result<Vec<(String, Array)>, NetworkError> {
        let ran = self.0.with(|session| run(session, input));
        ran.map_err(|e| NetworkError::Run { node: "the network".into(), reason: e.to_string() })
    }
}

fn run(session: &mut Session, Array { dims, data }: &Array) -> ort::Result<Vec<(String, Array)>> {
    let input = TensorRef::from_array_view((dims.as_slice(), data.as_slice()))?;
    let outputs = session.run(ort::inputs![input])?;
    let array = |(name, value): (&str, ort::value::ValueRef<'_>)| {
        let (shape, data) = value.try_extract_tensor::<f32>()?;
        let dims = shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect();
        Ok((name.to_owned(), Array { dims, data: data.to_vec() }))
    };
    outputs.iter().map(array).collect()
}
