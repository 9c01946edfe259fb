//! Configuration of the engine by the operator.

use ocellus_core::NetworkPolicy;
use ocellus_media::Decoding;
use serde_json::Value;

use crate::{outbox::OutboxConfig, retention::Retention};

/// Configuration of the engine by the operator.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Jobs that run at the same time; at least 1.
    pub jobs: usize,
    /// Policy for the addresses of `url` and `router_url`.
    pub network: NetworkPolicy,
    /// Configuration of deliveries.
    pub outbox: OutboxConfig,
    /// Called after networks were unloaded: returns unused memory to the operating system.
    pub give_back: fn(),
    /// Software or hardware decoding of the videos of jobs.
    pub decoding: Decoding,
    /// Default settings of new videos, in the form in which a client sends them; `None` for the
    /// vendor's defaults.
    pub defaults: Option<Value>,
    /// Limits beyond which sources are removed.
    pub retention: Retention,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            jobs: 1,
            network: NetworkPolicy::default(),
            outbox: OutboxConfig::default(),
            give_back: || {},
            decoding: Decoding::default(),
            defaults: None,
            retention: Retention::default(),
        }
    }
}
