//! What a plugin says of itself.

use crate::bindings::types::{self, Stages};

/// Constants that name and describe a plugin; `types.wit` has the rules for each.
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    pub name: &'static str,
    /// Usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    pub description: &'static str,
    /// JSON Schema of the settings, as text.
    pub settings_schema: &'static str,
}

impl Manifest {
    pub(crate) fn with_stages(&self, stages: Stages) -> types::Manifest {
        types::Manifest {
            name: self.name.into(),
            version: self.version.into(),
            description: self.description.into(),
            settings_schema: self.settings_schema.into(),
            capabilities: Vec::new(),
            stages,
        }
    }
}
