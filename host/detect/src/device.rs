//! Device choice: the hardware and the engine that networks run on, picked once at start.
//!
//! A GPU through burn and wgpu, the CPU through ONNX Runtime where its library is installed, or the
//! CPU through burn, which is slower. A GPU and ONNX Runtime are initialised once in a process and
//! live as long as it.
//!
//! The GPU is requested through its native API (Vulkan, Metal, DirectX 12): where there is no
//! driver, wgpu's own choice hangs. Software rasterisers are skipped unless wgpu is requested by
//! name: they are slower than the CPU engines.

use std::{env::consts, fmt, path::Path, str::FromStr, sync::OnceLock};

use burn::{
    cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig},
    tensor::{
        DeviceKind,
        wgpu::{WgpuBackend, WgpuInitError},
    },
};

use crate::{
    onnxruntime::OnnxRuntime,
    parallelism::{Parallelism, available_cores},
};

/// The operator's choice of device; [`Device::choose`] resolves it.
///
/// Parsed from and displayed as `auto`, `wgpu`, `onnxruntime` or `cpu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The first that is available of a hardware GPU, ONNX Runtime and burn on the CPU.
    #[default]
    Auto,
    /// A hardware GPU, else a software one (such as SwiftShader), else an error.
    Wgpu,
    /// ONNX Runtime on the CPU, or an error.
    OnnxRuntime,
    /// burn on the CPU; always available.
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
    /// There is no adapter of the requested kind, or it cannot be initialised.
    #[error("no GPU can be used through {api}: {reason}")]
    NoGpu {
        /// `vulkan`, `metal` or `dx12`.
        api: &'static str,
        /// Cause, as the driver words it.
        reason: String,
    },
    /// The shared library of ONNX Runtime is missing or cannot be loaded.
    #[error("ONNX Runtime cannot be used: {reason}")]
    NoOnnxRuntime {
        /// Cause, with the path of the library.
        reason: String,
    },
}

/// Hardware and engine that networks run on. Cheap to clone; clones share the device.
#[derive(Clone)]
pub struct Device {
    burn: burn::tensor::Device,
    /// Takes burn's place where it is set.
    onnxruntime: Option<OnnxRuntime>,
    description: String,
    /// `None` for a GPU, which does one run at a time.
    parallelism: Option<Parallelism>,
}

/// Sets the folder in which burn caches the timings of GPU kernels (autotune) across processes;
/// measuring them takes minutes. Compiled shaders are cached by the GPU's driver instead.
///
/// Returns `false`, without effect, after the first device was created or another folder was set.
pub fn cache_autotune_in(folder: &Path) -> bool {
    let mut config = CubeClRuntimeConfig::default().override_from_env();
    config.environment.path = CacheConfig::Directory(folder.to_owned());
    CubeClRuntimeConfig::try_set(config)
}

impl Device {
    /// Initialises a device. A GPU, or ONNX Runtime, is initialised once in a process and shared
    /// by all later calls.
    ///
    /// `onnxruntime` is the folder that holds ONNX Runtime's shared library, under the platform's
    /// file name for libraries (`libonnxruntime.so`, `onnxruntime.dll`).
    ///
    /// # Errors
    /// [`DeviceChoice::Wgpu`] and [`DeviceChoice::OnnxRuntime`] where they are not available; the
    /// other choices always succeed.
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
            parallelism: Some(Parallelism::of_cores(threads)),
        }
    }

    fn onnxruntime(folder: Option<&Path>) -> Result<Self, DeviceError> {
        let without = |reason: String| DeviceError::NoOnnxRuntime { reason };
        let folder = folder.ok_or_else(|| without("there is no folder of its library".into()))?;
        let library = folder.join(format!("{}onnxruntime{}", consts::DLL_PREFIX, consts::DLL_SUFFIX));
        let threads = available_cores();
        let parallelism = Parallelism::of_cores(threads);
        let onnxruntime = OnnxRuntime::load(&library, parallelism.workers).map_err(without)?;
        let description = format!("cpu (ONNX Runtime, {threads} threads)");
        Ok(Self { onnxruntime: Some(onnxruntime), description, parallelism: Some(parallelism), ..Self::cpu() })
    }

    /// Description for people, such as `wgpu (NVIDIA H100, vulkan)` or
    /// `cpu (ONNX Runtime, 8 threads)`.
    pub fn describe(&self) -> &str {
        &self.description
    }

    pub(crate) fn is_gpu(&self) -> bool {
        self.parallelism.is_none()
    }

    /// The same device with one run at a time on all threads, for a network that is used rarely:
    /// latency matters then, and each further worker would cost the memory of its buffers.
    pub(crate) fn with_single_worker(&self) -> Self {
        Self { parallelism: self.parallelism.map(Parallelism::single_worker), ..self.clone() }
    }

    /// `None` for a GPU, which does one run at a time.
    pub(crate) fn parallelism(&self) -> Option<Parallelism> {
        self.parallelism
    }

    pub(crate) fn onnx_runtime(&self) -> Option<&OnnxRuntime> {
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

// wgpu's runtime in burn can be initialised once in a process, and not shut down.
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
                    parallelism: None,
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
    fn choices_survive_print_and_parse() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Wgpu, DeviceChoice::OnnxRuntime, DeviceChoice::Cpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
