//! OpenAPI schemas of answers whose types belong to crates that know no OpenAPI.
//!
//! Owns their documentation only: no value of these types exists. A test of the API compares every
//! answer with its schema, so that a key that changes or is added there is noticed here: some
//! generated clients refuse an answer with a key that they do not know.

#![expect(dead_code, reason = "only the schemas of these types are used")]

use serde::Deserialize;
use serde_json::Value;
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, Type},
};

use crate::openapi;

/// Query parameters of text with a pattern. An empty text counts as none.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $pattern:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                ObjectBuilder::new().schema_type(Type::String).pattern(Some($pattern)).into()
            }
        }

        impl ToSchema for $name {}
    )*};
}

texts! {
    /// An [`ocellus_core::ObjectType`].
    ObjectTypeName: "^([a-z][a-z0-9_]{0,31})?$";
    /// An [`ocellus_core::ObjectId`] whose numbers have at most nine digits, which every archive's
    /// have.
    ObjectIdText: "^((0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8})-[a-z][a-z0-9_]{0,31}-(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,8}))?$";
    /// A case's number, or `null` for none.
    CaseText: "^(-?[0-9]{1,18}|null)?$";
    /// An [`ocellus_core::BestShotType`].
    BestShotTypeName: "^(overall|realtime)?$";
}

/// State of the server's parts.
#[derive(ToSchema)]
pub(crate) struct Health {
    #[schema(examples("0.2.0"))]
    version: String,
    detectors: DetectorReport,
    embedders: EmbedderReport,
    attributes: AttributeReport,
    /// Plugins in use; `/plugins/` has their details.
    plugins: Vec<PluginHealth>,
    decoding: DecodingReport,
    isolation: Isolation,
    jobs: RunningJobs,
    deliveries: DeliveryReport,
    /// Absent where the system does not report it.
    disk: Option<DiskUse>,
}

#[derive(ToSchema)]
pub(crate) struct DetectorReport {
    /// The networks are still being loaded, and the lists below are empty.
    loading: bool,
    /// Device that the networks run on; empty where there are none.
    device: String,
    detectors: Vec<LoadedDetector>,
    /// Folders that are not used.
    refused: Vec<RefusedFolder>,
    /// Object types that an earlier detector finds.
    superseded: Vec<SupersededType>,
}

#[derive(ToSchema)]
pub(crate) struct LoadedDetector {
    name: String,
    version: String,
    /// Object types that it reports.
    types: Vec<String>,
    digest: String,
    /// Licence of the weights, an SPDX expression.
    licence: String,
}

#[derive(ToSchema)]
pub(crate) struct RefusedFolder {
    name: String,
    reason: String,
}

#[derive(ToSchema)]
pub(crate) struct SupersededType {
    /// The detector that does not report the type.
    name: String,
    object_type: String,
    /// The detector that reports it.
    by: String,
}

#[derive(ToSchema)]
pub(crate) struct EmbedderReport {
    /// The networks are still being loaded, and the lists below are empty.
    loading: bool,
    embedders: Vec<LoadedEmbedder>,
    /// Folders that are not used.
    refused: Vec<RefusedFolder>,
}

#[derive(ToSchema)]
pub(crate) struct LoadedEmbedder {
    name: String,
    version: String,
    object_type: String,
    /// Dimension of its embeddings.
    numbers: u64,
    digest: String,
    /// Licence of the weights, an SPDX expression.
    licence: String,
}

/// Networks that say what an object is like.
#[derive(ToSchema)]
pub(crate) struct AttributeReport {
    /// The networks are still being loaded, and the lists below are empty.
    loading: bool,
    classifiers: Vec<LoadedClassifier>,
    /// Folders that are not used.
    refused: Vec<RefusedFolder>,
}

#[derive(ToSchema)]
pub(crate) struct LoadedClassifier {
    name: String,
    version: String,
    object_type: String,
    /// Names of its attributes.
    attributes: Vec<String>,
    /// Whether it judges if a face is alive.
    liveness: bool,
    digest: String,
    /// Licence of the weights, an SPDX expression.
    licence: String,
}

#[derive(ToSchema)]
pub(crate) struct PluginHealth {
    name: String,
    #[schema(required)]
    version: Option<String>,
    #[schema(required)]
    kind: Option<PluginKind>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum PluginKind {
    Filter,
    Tracker,
    Router,
}

#[derive(ToSchema)]
pub(crate) struct DecodingReport {
    /// The operator's choice.
    choice: String,
    /// Available devices, in the order in which they are tried.
    devices: Vec<String>,
}

/// Isolation of decoders from the rest of the system.
#[derive(ToSchema)]
pub(crate) struct Isolation {
    process: bool,
    seccomp: bool,
    landlock: bool,
    network: bool,
}

#[derive(ToSchema)]
pub(crate) struct RunningJobs {
    running: u64,
    /// Videos that wait for their turn.
    queued: u64,
    /// Most jobs that run at the same time.
    most: u64,
}

/// Use of the disk that the archive is on.
#[derive(ToSchema)]
pub(crate) struct DiskUse {
    total_bytes: u64,
    free_bytes: u64,
    /// Size of all source files at the last housekeeping; absent where the operator set no limit.
    source_bytes: Option<u64>,
}

/// Objects on their way to routers.
#[derive(ToSchema)]
pub(crate) struct DeliveryReport {
    waiting: u64,
    in_flight: u64,
    unreachable_routers: u64,
}

#[derive(ToSchema)]
pub(crate) struct PluginList {
    results: Vec<Plugin>,
}

/// A file in a folder of plugins, and its state.
#[derive(ToSchema)]
pub(crate) struct Plugin {
    file: String,
    origin: PluginOrigin,
    role: PluginRole,
    /// `ready`, or a sentence that begins with `refused` or `overridden`.
    state: String,
    /// Null, as are the fields that follow, for a file that never was a plugin.
    #[schema(required)]
    name: Option<String>,
    #[schema(required)]
    version: Option<String>,
    #[schema(required)]
    description: Option<String>,
    #[schema(required)]
    kind: Option<PluginKind>,
    /// SHA-256 of the component in use.
    #[schema(required)]
    digest: Option<String>,
    /// JSON Schema of its settings.
    #[schema(required, value_type = Option<Object>)]
    schema: Option<Value>,
    /// Why the file's present content is not in use although an earlier one is.
    #[schema(required)]
    replacement_refused: Option<String>,
    #[schema(required)]
    capabilities: Option<Vec<String>>,
    #[schema(required)]
    limits: Option<PluginLimits>,
    #[schema(required)]
    on_fault: Option<OnFault>,
    /// Since the server's start; null unless it is active.
    #[schema(required)]
    used: Option<PluginUse>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum PluginOrigin {
    User,
    Shipped,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum PluginRole {
    Serves,
    Candidate,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum OnFault {
    Fail,
    Skip,
    Restart,
}

/// The lower of the operator's limits and the plugin's own.
#[derive(ToSchema)]
pub(crate) struct PluginLimits {
    deadline_ms: f64,
    memory_bytes: u64,
    table_elements: u64,
    instances: u64,
    output_bytes: u64,
    component_bytes: u64,
    log_lines: u64,
    log_lines_per_second: u64,
}

/// Cost of a plugin's calls.
#[derive(ToSchema)]
pub(crate) struct PluginUse {
    calls: u64,
    time_ms: f64,
    longest_call_ms: f64,
    memory_bytes: u64,
    rejected: u64,
    log_lines_dropped: u64,
    faults: u64,
    #[schema(required)]
    last_fault: Option<String>,
    #[schema(required)]
    last_trace: Option<String>,
    evicted: bool,
    swaps: u64,
    longest_swap_ms: f64,
    /// The components that served a job, in order.
    #[schema(required = false)]
    components: Vec<ComponentUse>,
    /// Its canary; absent without one.
    #[schema(value_type = CanaryUse, required = false)]
    shadow: Option<CanaryUse>,
}

#[derive(ToSchema)]
pub(crate) struct ComponentUse {
    digest: String,
    from_frame: u64,
}

/// Cost of a canary's calls, and how often its answers differed.
#[derive(ToSchema)]
pub(crate) struct CanaryUse {
    digest: String,
    calls: u64,
    items: u64,
    different: u64,
    #[schema(required)]
    first_difference: Option<String>,
    time_ms: f64,
    longest_call_ms: f64,
    memory_bytes: u64,
    /// Why it is not called any more; null while it is.
    #[schema(required)]
    ended: Option<String>,
}

/// A detection or a track that was dropped, and why.
#[derive(ToSchema)]
pub(crate) struct Decision {
    // A component of its own would give clients in Go two constants `TRACKER`, with that of kinds
    // of plugins.
    #[schema(inline)]
    stage: DecisionStage,
    r#type: String,
    /// Frame number; of a track, that of its best shot.
    frame: u64,
    /// Seconds from the start of the source.
    time: f64,
    /// Left, top, right, bottom, in pixels.
    bbox: [i32; 4],
    #[schema(required)]
    track_id: Option<u64>,
    /// `ocellus` is the server itself.
    plugin: String,
    rule: String,
    value: String,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(crate) enum DecisionStage {
    Detections,
    Tracker,
    Shots,
    Objects,
}

/// An object that both runs report, with different fields.
#[derive(ToSchema)]
pub(crate) struct ChangedObject {
    /// Its id in the job.
    before: String,
    /// Its id in the replay.
    after: String,
    fields: Vec<String>,
}

/// An object that only one run reports.
#[derive(ToSchema)]
pub(crate) struct UnmatchedObject {
    id: String,
    /// Frame number of its best shot.
    frame: u64,
    time: f64,
    bbox: [i32; 4],
    quality: f64,
    /// The other run's last decision about its best shot.
    #[schema(required)]
    reason: Option<Decision>,
}

/// Settings of a replay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayRequest {
    /// Merged into the settings of the job, key by key.
    #[schema(schema_with = openapi::settings, required = false)]
    stream_settings: Option<Value>,
}
