//! Cache of sessions of router plugins.

use std::collections::VecDeque;

use ocellus_runtime::{PluginError, Plugins, Router};
use parking_lot::Mutex;

use crate::job_spec::JobSpec;

/// Greatest number of idle sessions.
const IDLE: usize = 16;

pub(super) struct Routers {
    plugins: Plugins,
    idle: Mutex<Idle>,
}

/// Idle sessions, the most recently used first.
#[derive(Default)]
struct Idle {
    /// The generation of the plugins that they were opened from.
    generation: u64,
    /// With the plugin's name and its settings.
    sessions: VecDeque<(String, String, Router)>,
}

impl Routers {
    pub(super) fn new(plugins: Plugins) -> Self {
        Self { plugins, idle: Mutex::default() }
    }

    /// Calls `f` with a session of the job's router. A session that failed, or whose plugin has
    /// changed, is not used again.
    pub(super) fn with<R>(
        &self,
        spec: &JobSpec,
        f: impl FnOnce(&mut Router) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        let generation = self.plugins.generation();
        let name = &spec.stream_settings.router;
        let settings = spec.stream_settings.plugins.get(name).cloned().unwrap_or_else(|| serde_json::json!({}));
        let key = settings.to_string();
        let idle = {
            let mut idle = self.idle.lock();
            if idle.generation != generation {
                *idle = Idle { generation, sessions: VecDeque::new() };
            }
            let place = idle.sessions.iter().position(|(n, k, _)| n == name && *k == key);
            place.and_then(|place| idle.sessions.remove(place)).map(|(.., router)| router)
        };
        let mut router = match idle {
            Some(router) => router,
            None => self.plugins.router(name, &settings)?,
        };
        let result = f(&mut router)?;
        let mut idle = self.idle.lock();
        if idle.generation == generation {
            idle.sessions.truncate(IDLE - 1);
            idle.sessions.push_front((name.clone(), key, router));
        }
        Ok(result)
    }
}
