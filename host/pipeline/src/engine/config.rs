//! Configuration of the engine: what the operator chooses.

use ocellus_core::NetworkPolicy;
use ocellus_media::Decoding;
use serde_json::Value;

use crate::{outbox::OutboxConfig, retention::Retention};

/// What the operator chooses of the engine.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Jobs that run at the same time; at least 1.
    pub jobs: usize,
    /// Where `url` and `router_url` may lead.
    pub network: NetworkPolicy,
    /// Of deliveries.
    pub outbox: OutboxConfig,
    /// Called after networks were unloaded: returns unused memory to the operating system.
    pub give_back: fn(),
    /// Software or hardware decoding of the videos of jobs.
    pub decoding: Decoding,
    /// Settings of new videos where the client is silent, as a client would send them; `None` keeps
    /// the vendor's.
    pub defaults: Option<Value>,
    /// Which sources are removed to make room.
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
