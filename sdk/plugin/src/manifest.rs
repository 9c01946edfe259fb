//! Manifest: constants that describe a plugin.

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
    /// Name in settings: `[a-z][a-z0-9_-]{0,63}`.
    pub name: &'static str,
    /// Semantic version, 1 to 64 bytes; usually `env!("CARGO_PKG_VERSION")`.
    pub version: &'static str,
    /// For people: one or two sentences, at most 1024 bytes.
    pub description: &'static str,
    /// JSON Schema (2020-12) of the settings: an object, at most 64 KiB.
    pub settings_schema: &'static str,
    /// Requested capabilities, each at most once: filters may request crops, routers pictures.
    pub capabilities: &'static [Capability],
    /// Requested limits, which can only lower the operator's.
    pub limits: Limits,
    /// Fault policy; `None` leaves it to the operator. Routers have none.
    pub on_fault: Option<OnFault>,
}

/// Access that a plugin may request beyond its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Small pictures of the items of a call: [`crop`](crate::crop).
    Crops,
    /// The pictures of a post: [`picture`](crate::picture) and [`picture_url`](crate::picture_url).
    Pictures,
}

/// Requested limits below the server's; higher ones have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Wall-clock time of one call, in whole milliseconds, at least 1.
    pub deadline: Option<Duration>,
    /// Linear memory of a session, in bytes.
    pub memory_bytes: Option<u64>,
    /// Output of one call, in bytes.
    pub output_bytes: Option<u64>,
}

impl Limits {
    /// The server's limits.
    pub const DEFAULT: Self = Self { deadline: None, memory_bytes: None, output_bytes: None };
}

impl Manifest {
    /// A manifest without requests; it still needs a name, a version and a schema.
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
