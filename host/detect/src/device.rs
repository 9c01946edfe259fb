//! Chooses where networks run, once at start.
//!
//! The GPU is asked for by its native API, since wgpu's own choice without a driver ends in something that hangs. Only
//! kinds of adapters that are GPUs are looked at, unless wgpu is asked for by name: a CPU that plays a GPU is slower
//! than the CPU itself.

use std::{fmt, str::FromStr, sync::OnceLock};

use burn::tensor::{
    DeviceKind,
    wgpu::{WgpuBackend, WgpuInitError},
};

/// What the operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU where there is one, the CPU otherwise.
    #[default]
    Auto,
    /// A GPU, or a software one, or an error.
    Wgpu,
    Cpu,
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "auto" => Ok(Self::Auto),
            "wgpu" => Ok(Self::Wgpu),
            "cpu" => Ok(Self::Cpu),
            other => Err(format!("{other:?} is no device: expected auto, wgpu or cpu")),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Wgpu => "wgpu",
            Self::Cpu => "cpu",
        })
    }
}

/// There is no adapter of the wanted kind, or it does not come up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no GPU can be used through {api}: {reason}")]
pub struct DeviceError {
    api: &'static str,
    reason: String,
}

/// A place to run networks. Cheap to clone; all clones are the same device.
#[derive(Clone)]
pub struct Device {
    burn: burn::tensor::Device,
    description: String,
    gpu: bool,
}

impl Device {
    /// Brings up a device. A GPU is brought up once in a process and shared from then on.
    pub fn choose(choice: DeviceChoice) -> Result<Self, DeviceError> {
        match choice {
            DeviceChoice::Cpu => Ok(Self::cpu()),
            DeviceChoice::Wgpu => gpu().clone().or_else(|_| software_gpu().clone()),
            DeviceChoice::Auto => Ok(gpu().clone().unwrap_or_else(|error| {
                tracing::info!(%error, "detectors run on the CPU");
                Self::cpu()
            })),
        }
    }

    fn cpu() -> Self {
        let threads = rayon::current_num_threads();
        Self { burn: burn::tensor::Device::flex(), description: format!("cpu (burn-flex, {threads} threads)"), gpu: false }
    }

    /// For people: `wgpu (NVIDIA H100, vulkan)`, `cpu (burn-flex, 8 threads)`.
    pub fn describe(&self) -> &str {
        &self.description
    }

    pub(crate) fn is_gpu(&self) -> bool {
        self.gpu
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
                return Ok(Device { burn, description: format!("wgpu ({name}, {api})"), gpu: true });
            }
            Err(WgpuInitError::AdapterUnavailable { .. }) if reason.is_empty() => reason = "there is no adapter".into(),
            Err(WgpuInitError::AdapterUnavailable { .. }) => {}
            Err(error) => reason = error.to_string(),
        }
    }
    Err(DeviceError { api, reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_survive_print_and_parse() {
        for choice in [DeviceChoice::Auto, DeviceChoice::Wgpu, DeviceChoice::Cpu] {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("gpu".parse::<DeviceChoice>().is_err());
    }
}
