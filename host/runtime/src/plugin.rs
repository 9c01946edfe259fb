//! Plugin: one component, checked, compiled and described, for which sessions are opened.
//!
//! Owns the order of the checks, the manifest and the validator of settings. It ends with the last
//! session and the last entry of the registry that hold it.

use serde_json::Value;
use wasmtime::{Engine, component::Linker};

use crate::{
    Digest, Kind, Limits, OnFault, PluginError, Refusal,
    bindings::{filter::FilterPre, router::RouterPre, tracker::TrackerPre, types},
    compile::Compiler,
    inspect::{Inspected, capability, inspect},
    sandbox::Sandbox,
    store::{self, StoreData},
};

/// A component ready for sessions, linked to the functions that its kind may call.
pub(crate) enum World {
    Filter(FilterPre<StoreData>),
    Tracker(TrackerPre<StoreData>),
    Router(RouterPre<StoreData>),
}

pub(crate) struct Plugin {
    engine: Engine,
    /// The lower of the operator's limits and those of its manifest.
    pub(crate) limits: Limits,
    pub(crate) world: World,
    pub(crate) digest: Digest,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) description: String,
    pub(crate) stages: types::Stages,
    pub(crate) schema: Value,
    pub(crate) capabilities: Vec<String>,
    /// Policy in its manifest.
    pub(crate) on_fault: Option<OnFault>,
    validator: jsonschema::Validator,
}

impl Plugin {
    /// Loads a component with all checks: form, imports and exports, compilation, types,
    /// `describe`, manifest. `file` names it in errors while its name is not known.
    pub(crate) fn load(compiler: &Compiler, limits: &Limits, file: &str, bytes: &[u8]) -> Result<Self, Refusal> {
        let Inspected { kind, uses } = inspect(bytes, &limits.compile)?;
        let (engine, digest) = (compiler.engine(), Digest::of(bytes));
        let component = compiler.component(limits, digest, bytes)?;
        let types = |e: wasmtime::Error| Refusal::Types(format!("{e:#}"));
        let mut linker = Linker::new(engine);
        store::link(&mut linker, kind).map_err(types)?;
        let linked = linker.instantiate_pre(&component).map_err(types)?;
        let world = match kind {
            Kind::Filter => World::Filter(FilterPre::new(linked).map_err(types)?),
            Kind::Tracker => World::Tracker(TrackerPre::new(linked).map_err(types)?),
            Kind::Router => World::Router(RouterPre::new(linked).map_err(types)?),
        };

        let mut sandbox = Sandbox::new(engine, limits, file, digest);
        let manifest = sandbox
            .call("describe", |store| match &world {
                World::Filter(pre) => pre.instantiate(&mut *store)?.ocellus_plugin_filtering().call_describe(store),
                World::Tracker(pre) => pre.instantiate(&mut *store)?.ocellus_plugin_tracking().call_describe(store),
                World::Router(pre) => pre.instantiate(&mut *store)?.ocellus_plugin_routing().call_describe(store),
            })
            .map_err(|e| {
                e.fault().map_or_else(|| Refusal::Types(e.to_string()), |fault| Refusal::Describe(fault.clone()))
            })?;
        let (schema, validator) = check(&manifest, kind)?;
        if let Some(capability) = uses.filter(|capability| !manifest.capabilities.iter().any(|c| c == capability)) {
            return Err(Refusal::NotAskedFor(capability));
        }
        let types::Manifest { name, version, description, stages, capabilities, limits: asked, on_fault, .. } =
            manifest;
        let (engine, limits, on_fault) = (engine.clone(), limits.lowered(&asked), on_fault.map(OnFault::from));
        Ok(Self {
            engine,
            limits,
            world,
            digest,
            name,
            version,
            description,
            stages,
            schema,
            capabilities,
            on_fault,
            validator,
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.world {
            World::Filter(_) => Kind::Filter,
            World::Tracker(_) => Kind::Tracker,
            World::Router(_) => Kind::Router,
        }
    }

    /// A new store for one session.
    pub(crate) fn sandbox(&self) -> Sandbox {
        Sandbox::new(&self.engine, &self.limits, &self.name, self.digest)
    }

    /// Serializes settings for the plugin, if they fit its schema.
    pub(crate) fn settings(&self, settings: &Value) -> Result<String, PluginError> {
        let Some(error) = self.validator.iter_errors(settings).next() else { return Ok(settings.to_string()) };
        let mut path = error.instance_path().to_string().trim_start_matches('/').replace('/', ".");
        let unknown = ocellus_core::unknown_key(&error, settings);
        let reason = unknown.as_ref().map_or_else(|| error.to_string(), |key| format!("unknown key {key:?}"));
        if let Some(key) = unknown {
            path = if path.is_empty() { key } else { format!("{path}.{key}") };
        }
        Err(PluginError::Settings { plugin: self.name.clone(), path, reason })
    }
}

/// Checks the rules of `wit/v0.1/types.wit` for manifests, and returns the schema of the settings.
fn check(manifest: &types::Manifest, kind: Kind) -> Result<(Value, jsonschema::Validator), Refusal> {
    let wrong = |reason: String| Err(Refusal::Manifest(reason));
    if !is_name(&manifest.name) {
        return wrong(format!(
            "{:?} is no name: lower-case letters, digits, _ and -, a letter first, 64 at most",
            manifest.name
        ));
    }
    if manifest.version.is_empty() || manifest.version.len() > 64 {
        return wrong("the version must have 1 to 64 bytes".into());
    }
    if manifest.description.len() > 1024 {
        return wrong("the description has more than 1024 bytes".into());
    }
    let known = capability(kind);
    if let Some(capability) = manifest.capabilities.iter().find(|c| known != Some(c.as_str())) {
        return Err(Refusal::Capability { capability: capability.clone(), kind });
    }
    if let [capability, _, ..] = manifest.capabilities.as_slice() {
        return wrong(format!("the capability {capability} is asked for more than once"));
    }
    if manifest.limits.deadline_ms == Some(0) {
        return wrong("a deadline of 0 ms leaves no time for a call".into());
    }
    if kind == Kind::Router && manifest.on_fault.is_some() {
        return wrong("a router has no policy for faults: they fail the attempt".into());
    }
    match kind {
        Kind::Filter if manifest.stages == types::Stages::default() => {
            return wrong("a filter names at least one stage".into());
        }
        Kind::Tracker | Kind::Router if manifest.stages != types::Stages::default() => {
            return wrong(format!("a {kind} has no stages"));
        }
        _ => {}
    }
    if manifest.settings_schema.len() > 64 << 10 {
        return wrong("the settings schema has more than 64 KiB".into());
    }
    let schema: Value = match serde_json::from_str(&manifest.settings_schema) {
        Ok(schema @ Value::Object(_)) => schema,
        Ok(_) => return wrong("the settings schema is no JSON object".into()),
        Err(e) => return wrong(format!("the settings schema is no JSON: {e}")),
    };
    // Patterns come from the plugin: the engine without backtracking takes linear time on any of
    // them.
    let built = jsonschema::options().with_pattern_options(jsonschema::PatternOptions::regex()).build(&schema);
    match built {
        Ok(validator) => Ok((schema, validator)),
        Err(e) => wrong(format!("the settings schema is no JSON Schema: {e}")),
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && name.len() <= 64
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}
