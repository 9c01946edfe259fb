//! Manifest: the constants by which a plugin describes itself.

use std::time::Duration;

pub use crate::bindings::types::OnFault;
use crate::bindings::types::{self, Stages};

/// Constants that name and describe a plugin; `types.wit` has the rules for each.
///
/// ```
/// use ocellus_plugin::{Capability, Limits, Manifest, OnFault};
/// use std::time::Duration;
///
/// const MANIFEST: Manifest = Manifest {
///     name: "colour",
///     version: "1.0.0",
///     description: "Notes the colour of cars.",
///     settings_schema: r#"{"type":"object","additionalProperties":false}"#,
///     capabilities: &[Capability::Crops],
///     limits: Limits { deadline: Some(Duration::from_millis(20)), ..Limits::DEFAULT },
///     on_fault: Some(OnFault::Skip),
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Manifest {
    /// As settings name it: `[a-z][a-z0-9_-]{0,63}`.
    pub name: &'static str,
    /// Semantic version, 1 to 64 bytes; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// For people: one or two sentences, at most 1024 bytes.
    pub description: &'static str,
    /// JSON Schema (2020-12) of the settings: an object, at most 64 KiB.
    pub settings_schema: &'static str,
    /// Each at most once; only filters may ask for any.
    pub capabilities: &'static [Capability],
    /// They can only lower the operator's.
    pub limits: Limits,
    /// What follows from a fault; `None` leaves it to the operator. Routers have none.
    pub on_fault: Option<OnFault>,
}

/// What a plugin may ask for beyond its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Small pictures of the items of a call: [`crop`](crate::crop).
    Crops,
    /// The pictures of a post: [`picture`](crate::picture) and [`picture_url`](crate::picture_url).
    Pictures,
}

/// Lower limits than the server's; higher ones change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, in whole milliseconds, at least 1.
    pub deadline: Option<Duration>,
    /// Linear memory of a session, in bytes.
    pub memory_bytes: Option<u64>,
    /// What one call hands to the host, in bytes.
    pub output_bytes: Option<u64>,
}

impl Limits {
    /// The server's.
    pub const DEFAULT: Self = Self { deadline: None, memory_bytes: None, output_bytes: None };
}

impl Manifest {
    /// A plugin that asks for nothing; it still needs a name, a version and a schema.
    pub const DEFAULT: Self = Self {
        name: "",
        version: "",
        description: "",
        settings_schema: r#"{"type":"object","additionalProperties":false}"#,
        capabilities: &[],
        limits: Limits::DEFAULT,
        on_fault: None,
    };

    pub(crate) fn with_stages(&self, stages: Stages) -> types::Manifest {
        let Limits { deadline, memory_bytes, output_bytes } = self.limits;
        types::Manifest {
            name: self.name.into(),
            version: self.version.into(),
            description: self.description.into(),
            settings_schema: self.settings_schema.into(),
            capabilities: self.capabilities.iter().map(|c| c.name().into()).collect(),
            stages,
            limits: types::Limits {
                deadline_ms: deadline.map(|d| u32::try_from(d.as_millis()).unwrap_or(u32::MAX)),
                memory_bytes,
                output_bytes,
            },
            on_fault: self.on_fault,
        }
    }
}

impl Capability {
    fn name(self) -> &'static str {
        match self {
            Self::Crops => "crops",
            Self::Pictures => "pictures",
        }
    }
}
