//! Health report for operators.

use ocellus_media::{Hardware, Isolation};
use ocellus_runtime::{Kind, PluginInfo, Role, State};
use serde::Serialize;

use super::{
    disk_use::DiskUse,
    load::{Load, Running},
    state::Engine,
};
use crate::outbox::Deliveries;

/// Response of `GET /health/`.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    /// Version of the server, `MAJOR.MINOR.PATCH`.
    pub version: &'static str,
    /// Installed detectors, the device that they run on, and folders that could not be loaded.
    pub detectors: ocellus_detect::DetectorReport,
    /// Installed embedders.
    pub embedders: ocellus_detect::EmbedderReport,
    /// Installed classifiers of attributes.
    pub attributes: ocellus_detect::AttributeReport,
    /// Plugins in use; `/plugins/` has their details.
    pub plugins: Vec<PluginHealth>,
    /// Choice and devices of decoding.
    pub decoding: DecodingReport,
    /// Isolation of decoders from the rest of the system.
    pub isolation: Isolation,
    /// Running jobs.
    pub jobs: Running,
    /// Deliveries to routers.
    pub deliveries: Deliveries,
    /// Usage of the archive's disk; absent where the system does not report it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskUse>,
}

/// A plugin that jobs use. Its log and its usage need the API's token.
#[derive(Clone, Debug, Serialize)]
pub struct PluginHealth {
    /// Unique among the plugins of its kind.
    pub name: String,
    /// As the plugin's manifest has it.
    pub version: Option<String>,
    /// Filter, tracker or router.
    pub kind: Option<Kind>,
}

/// Decoding of videos.
#[derive(Clone, Debug, Serialize)]
pub struct DecodingReport {
    /// The operator's choice, as on the command line.
    pub choice: String,
    /// Available devices, in the order in which they are tried; software decodes the rest.
    pub devices: Vec<&'static str>,
}

impl PluginHealth {
    fn of(plugin: PluginInfo) -> Option<Self> {
        let PluginInfo { name, version, kind, role, state, .. } = plugin;
        let in_use = role == Role::Active && state == State::Ready;
        name.filter(|_| in_use).map(|name| Self { name, version, kind })
    }
}

impl Engine {
    /// The current load of the server.
    pub fn load(&self) -> Load {
        let jobs = &self.0.jobs;
        Load {
            jobs: Running { running: jobs.running(), queued: jobs.waiting(), most: self.0.config.jobs.max(1) },
            deliveries: self.0.outbox.counts(),
            disk: self.disk_use(),
        }
    }

    /// The state of the server's parts.
    pub fn health(&self) -> Health {
        let Load { jobs, deliveries, disk } = self.load();
        Health {
            version: env!("CARGO_PKG_VERSION"),
            detectors: self.0.detectors.report(),
            embedders: self.0.embedders.report(),
            attributes: self.0.classifiers.report(),
            plugins: self.0.plugins.list().into_iter().filter_map(PluginHealth::of).collect(),
            decoding: DecodingReport {
                choice: self.0.config.decoding.to_string(),
                devices: self
                    .0
                    .config
                    .decoding
                    .bring_up()
                    .unwrap_or_default()
                    .into_iter()
                    .map(Hardware::name)
                    .collect(),
            },
            isolation: ocellus_media::isolation(),
            jobs,
            deliveries,
            disk,
        }
    }
}
