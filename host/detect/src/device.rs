//! Chooses where networks run and what runs them, once at start: a GPU by burn, the CPU by ONNX
//! Runtime where its library is at hand, or the CPU by burn, which takes longer.
//!
//! The GPU is asked for by its native API, since wgpu's own choice without a driver ends in
//! something that hangs. Only kinds of adapters that are GPUs are looked at, unless wgpu is asked
//! for by name: a CPU that plays a GPU is slower than the CPU itself.

use std::{env::consts, fmt, path::Path, str::FromStr, sync::OnceLock, thread};

use burn::{
    cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig},
    tensor::{
        DeviceKind,
        wgpu::{WgpuBackend, WgpuInitError},
    },
};

use crate::graph::OnnxRuntime;

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first of those below that there is; no software GPU.
    #[default]
    Auto,
    /// A GPU, or a software one, or an error.
    Wgpu,
    /// The CPU by ONNX Runtime, or an error.
    OnnxRuntime,
    /// The CPU by burn.
    Cpu,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(Self::Auto),
            "wgpu" => Ok(Self::Wgpu),
            "onnxruntime" => Ok(Self::OnnxRuntime),
            "cpu" => Ok(Self::Cpu),
            other => Err(format!("{other:?} is no device: expected auto, wgpu, onnxruntime or cpu")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Wgpu => "wgpu",
            Self::OnnxRuntime => "onnxruntime",
            Self::Cpu => "cpu",
        })
    }
}

/// Why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// There is no adapter of the wanted kind, or it does not come up.
    #[error("no GPU can be used through {api}: {reason}")]
    NoGpu { api: &'static str, reason: String },
    /// Its library is not there, or does not load.
    #[error("ONNX Runtime cannot be used: {reason}")]
    NoOnnxRuntime { reason: String },
}

/// A place to run networks. Cheap to clone; all clones are the same device.
#[derive(Clone)]
pub struct Device {
    burn: burn::tensor::Device,
    /// Runs networks in place of burn.
    onnxruntime: Option<OnnxRuntime>,
    description: String,
    /// Of a CPU; a GPU has one.
    workers: Option<Workers>,
}

/// How many runs of a network go on at the same time, and what each has for itself.
///
/// Pictures side by side on a core each take less than one picture on all cores: nothing waits for
/// the slowest part of an operator, and what another thread takes of one core holds up one picture,
/// not all. A GPU is full with one run, of many pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Workers {
    pub count: usize,
    /// Threads of each.
    pub threads: usize,
}

impl Workers {
    /// More cost memory, and gain little: cores share theirs.
    const MOST: usize = 8;

    fn of_cores(cores: usize) -> Self {
        let count = cores.clamp(1, Self::MOST);
        Self { count, threads: (cores / count).max(1) }
    }
}

/// Keeps what burn measures of a GPU's kernels in a folder, where the next process finds it:
/// measuring takes minutes. Shaders are kept by the GPU's driver, in a place of its own.
///
/// Must be called before the first device is brought up; whether it was, and no other folder was
/// named before.
pub fn remember_in(folder: &Path) -> bool {
    let mut config = CubeClRuntimeConfig::default().override_from_env();
    config.environment.path = CacheConfig::Directory(folder.to_owned());
    CubeClRuntimeConfig::try_set(config)
}

impl Device {
    /// Brings up a device. A GPU, or ONNX Runtime, is brought up once in a process and shared from
    /// then on.
    ///
    /// `onnxruntime`: the folder that holds ONNX Runtime's shared library, by the name that the
    /// system gives libraries.
    pub fn choose(choice: DeviceChoice, onnxruntime: Option<&Path>) -> Result<Self, DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::OnnxRuntime => Self::onnxruntime(onnxruntime),
            DeviceChoice::Wgpu => gpu().clone().or_else(|_| software_gpu().clone()),
            DeviceChoice::Auto => Ok(gpu().clone().unwrap_or_else(|no_gpu| {
                Self::onnxruntime(onnxruntime)
                    .inspect(|_| tracing::info!("networks run on the CPU: {no_gpu}"))
                    .unwrap_or_else(|error| {
                        tracing::info!("networks run on the CPU, by burn: {no_gpu}; {error}");
                        Self::cpu()
                    })
            })),
        }
    }

    fn cpu() -> Self {
        let threads = rayon::current_num_threads();
        let description = format!("cpu (burn-flex, {threads} threads)");
        Self {
            burn: burn::tensor::Device::flex(),
            onnxruntime: None,
            description,
            workers: Some(Workers::of_cores(threads)),
        }
    }

    fn onnxruntime(folder: Option<&Path>) -> Result<Self, DeviceError> {
        let without = |reason: String| DeviceError::NoOnnxRuntime { reason };
        let folder = folder.ok_or_else(|| without("there is no folder of its library".into()))?;
        let library = folder.join(format!("{}onnxruntime{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let workers = Workers::of_cores(threads);
        let onnxruntime = OnnxRuntime::load(&library, workers.count).map_err(without)?;
        let description = format!("cpu (ONNX Runtime, {threads} threads)");
        Ok(Self { onnxruntime: Some(onnxruntime), description, workers: Some(workers), ..Self::cpu() })
    }

    /// For people: `wgpu (NVIDIA H100, vulkan)`, `cpu (ONNX Runtime, 8 threads)`.
    pub fn describe(&self) -> &str {
        &self.description
    }

    pub(crate) fn is_gpu(&self) -> bool {
        self.workers.is_none()
    }

    /// The same, for a network that is asked now and then: one run at a time, with all threads.
    /// Each worker costs the memory of its weights.
    pub(crate) fn in_one_lane(&self) -> Self {
        let workers = self.workers.map(|workers| Workers { count: 1, threads: workers.count * workers.threads });
        Self { workers, ..self.clone() }
    }

    /// Of a CPU's cores; a GPU does one run after the other.
    pub(crate) fn workers(&self) -> Option<Workers> {
        self.workers
    }

    pub(crate) fn runtime(&self) -> Option<&OnnxRuntime> {
        self.onnxruntime.as_ref()
    }

    pub(crate) fn burn(&self) -> &burn::tensor::Device {
        &self.burn
    }
}

const API: (WgpuBackend, &str) = if cfg!(target_vendor = "apple") {
    (WgpuBackend::Metal, "metal")
} else if cfg!(windows) {
    (WgpuBackend::Dx12, "dx12")
} else {
    (WgpuBackend::Vulkan, "vulkan")
};

// A runtime cannot be brought up twice in a process, nor taken down.
fn gpu() -> &'static Result<Device, DeviceError> {
    static GPU: OnceLock<Result<Device, DeviceError>> = OnceLock::new();
    GPU.get_or_init(|| first_of(&[DeviceKind::DiscreteGpu(0), DeviceKind::IntegratedGpu(0), DeviceKind::VirtualGpu(0)]))
}

fn software_gpu() -> &'static Result<Device, DeviceError> {
    static SOFTWARE: OnceLock<Result<Device, DeviceError>> = OnceLock::new();
    SOFTWARE.get_or_init(|| first_of(&[DeviceKind::Cpu]))
}

fn first_of(kinds: &[DeviceKind]) -> Result<Device, DeviceError> {
    let (backend, api) = API;
    let mut reason = String::new();
    for kind in kinds {
        match burn::tensor::Device::wgpu_options().graphics_api(backend).device_kind(kind.clone()).init_with_setup() {
            Ok((burn, setup)) => {
                let name = setup.adapter.get_info().name;
                return Ok(Device {
                    burn,
                    onnxruntime: None,
                    description: format!("wgpu ({name}, {api})"),
                    workers: None,
                });
            }
            Err(WgpuInitError::AdapterUnavailable { .. }) if reason.is_empty() => reason = "there is no adapter".into(),
            Err(WgpuInitError::AdapterUnavailable { .. }) => {}
            Err(error) => reason = error.to_string(),
        }
    }
    Err(DeviceError::NoGpu { api, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_take_all_cores_and_no_more() {
        assert_eq!(Workers::of_cores(1), Workers { count: 1, threads: 1 });
        assert_eq!(Workers::of_cores(2), Workers { count: 2, threads: 1 });
        assert_eq!(Workers::of_cores(16), Workers { count: 8, threads: 2 });
        assert_eq!(Workers::of_cores(20), Workers { count: 8, threads: 2 });
    }

    #[test]
    fn choices_survive_print_and_parse() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Wgpu, DeviceChoice::OnnxRuntime, DeviceChoice::Cpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
