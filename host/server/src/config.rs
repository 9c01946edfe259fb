//! Configuration: arguments, then environment, then the file, then defaults.
//!
//! Guarantees: every setting can be given in each of the three ways, under the same name; an
//! unknown key in the file is an error that names it.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use ocellus_api::ConnectionLimits;
use ocellus_core::Network;
use ocellus_detect::DeviceChoice;
use ocellus_media::{DecoderFault, DecoderLimits, Decoding};
use ocellus_pipeline::{OutboxConfig, Retention, RouterToken, SigningSecret};
use ocellus_runtime::{CompileLimits, FaultPolicy, Limits};
use serde::{Deserialize, de};
use serde_json::Value;

use crate::{
    decode::{IsolationChoice, decoder_limits},
    defaults::Defaults,
    listen::ListenAddress,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `ocellus serve`. Each setting may also be given in the configuration file, under its long name
/// with underscores (`max_upload_bytes = 10000000000`).
#[derive(Args, Debug)]
pub(crate) struct ServeArguments {
    /// Configuration file (TOML). Without it, ocellus.toml in the data folder is read where there
    /// is one.
    #[arg(long, env = "OCELLUS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

/// Settings from one source: arguments and environment, or the file.
#[derive(Args, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Folder that holds the archive, its index and the admin token; created if missing. [default:
    /// ocellus-data]
    #[arg(long, env = "OCELLUS_DATA", value_name = "DIR")]
    #[serde(skip)]
    data: Option<PathBuf>,

    /// Address to serve on: localhost:8000, 192.0.2.1:8000, or :8000 for all addresses of the
    /// machine; port 0 takes a free one. [default: 127.0.0.1:8000]
    #[arg(long, env = "OCELLUS_LISTEN", value_name = "ADDR")]
    #[serde(deserialize_with = "from_text")]
    listen: Option<ListenAddress>,

    /// Address of its own for GET /metrics, without a token and without TLS: one that only
    /// monitoring can reach. [default: none; /metrics is served with the API, for a token]
    #[arg(long, env = "OCELLUS_METRICS_LISTEN", value_name = "ADDR")]
    #[serde(deserialize_with = "from_text")]
    metrics_listen: Option<ListenAddress>,

    /// Certificate to encrypt connections with (PEM), followed by its intermediate certificates;
    /// read again when it changes. [default: connections are not encrypted]
    #[arg(long, env = "OCELLUS_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate (PEM).
    #[arg(long, env = "OCELLUS_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Where networks run: wgpu (a GPU), onnxruntime (the CPU, by ONNX Runtime), cpu (the CPU, by
    /// burn), auto (the first of these that is available). [default: auto]
    #[arg(long, env = "OCELLUS_DEVICE", value_name = "DEVICE")]
    #[serde(deserialize_with = "from_text")]
    device: Option<DeviceChoice>,

    /// Decoder of videos: software (the CPU), auto (the first available device that supports a
    /// video's codec), or a device by name: cuda (NVIDIA), vaapi (Intel and AMD on Linux),
    /// videotoolbox (Apple), d3d11va (Windows). Where a device does not support a video or fails in
    /// it, software takes over. [default: software]
    #[arg(long, env = "OCELLUS_DECODING", value_name = "DECODING")]
    #[serde(deserialize_with = "from_text")]
    decoding: Option<Decoding>,

    /// Where videos are decoded: process (each in a process of its own without rights; on Linux),
    /// none (in the server). [default: process on Linux, else none]
    #[arg(long, env = "OCELLUS_ISOLATION", value_name = "ISOLATION")]
    isolation: Option<IsolationChoice>,

    /// Memory that the process which decodes a video may have, at least 268435456. [default:
    /// 2147483648]
    #[arg(long, env = "OCELLUS_DECODER_MEMORY_BYTES", value_name = "BYTES")]
    decoder_memory_bytes: Option<u64>,

    /// For tests: what decoders do wrong, and at which frame.
    #[arg(long, hide = true)]
    #[serde(skip)]
    decoder_fault: Option<DecoderFault>,

    /// Jobs that run at the same time. [default: 1]
    #[arg(long, env = "OCELLUS_JOBS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Folder of the shipped plugins (*.wasm), watched for changes. Plugins that users install are
    /// kept in plugins in the data folder and override those of the same name here. [default:
    /// plugins beside the program]
    #[arg(long, env = "OCELLUS_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,

    /// Folder of detectors, each a folder with a detector.toml. [default: detectors beside the
    /// program]
    #[arg(long, env = "OCELLUS_DETECTORS", value_name = "DIR")]
    detectors: Option<PathBuf>,

    /// Folder of embedders, the networks that recognise identities, each a folder with an
    /// embedder.toml. [default: embedders beside the program]
    #[arg(long, env = "OCELLUS_EMBEDDERS", value_name = "DIR")]
    embedders: Option<PathBuf>,

    /// Folder of attribute networks, which say what an object is like (the colour of a car, whether
    /// a face is alive), each a folder with an attributes.toml. [default: attributes beside the
    /// program]
    #[arg(long, env = "OCELLUS_ATTRIBUTES", value_name = "DIR")]
    attributes: Option<PathBuf>,

    /// Folder of ONNX Runtime's shared library. [default: onnxruntime beside the program]
    #[arg(long, env = "OCELLUS_ONNXRUNTIME", value_name = "DIR")]
    onnxruntime: Option<PathBuf>,

    /// Base of the absolute URLs in responses, for a server behind a proxy. [default: taken from
    /// the request]
    #[arg(long, env = "OCELLUS_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,

    /// Origins whose pages may use the API from browsers, separated by commas
    /// (https://board.example.org); * is any. [default: none]
    #[arg(long, env = "OCELLUS_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origin: Option<Vec<String>>,

    /// Largest file that may be uploaded. [default: no limit]
    #[arg(long, env = "OCELLUS_MAX_UPLOAD_BYTES", value_name = "BYTES")]
    max_upload_bytes: Option<u64>,

    /// Days after which the source file of a video is removed; its objects and pictures stay. The
    /// field keep of a video excepts it. [default: never]
    #[arg(long, env = "OCELLUS_KEEP_DAYS", value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    keep_days: Option<u32>,

    /// Bytes that all source files may have together: above it, those of the oldest processed
    /// videos are removed. [default: no limit]
    #[arg(long, env = "OCELLUS_KEEP_BYTES", value_name = "BYTES")]
    keep_bytes: Option<u64>,

    /// Bytes of the disk that stay free: source files are removed for it as for --keep-bytes, and
    /// uploads that would use them are refused. [default: 0]
    #[arg(long, env = "OCELLUS_MIN_FREE_BYTES", value_name = "BYTES")]
    min_free_bytes: Option<u64>,

    /// Folder to import recordings from: each file that has stopped growing becomes a video and is
    /// processed. The files are copied and stay. [default: none]
    #[arg(long, env = "OCELLUS_IMPORT", value_name = "DIR")]
    import: Option<PathBuf>,

    /// Milliseconds for which a file has to be unchanged before it is imported. [default: 10000]
    #[arg(long, env = "OCELLUS_IMPORT_QUIET_MS", value_name = "MS", value_parser = clap::value_parser!(u32).range(10..))]
    import_quiet_ms: Option<u32>,

    /// Largest number of connections at the same time; half of them are reserved for clients with
    /// the token. [default: 2048, or half of the process's limit of open files if that is less]
    #[arg(long, env = "OCELLUS_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    max_connections: Option<u32>,

    /// Milliseconds within which a new connection must send its first request. [default: 30000]
    #[arg(long, env = "OCELLUS_FIRST_REQUEST_TIMEOUT_MS", value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    first_request_timeout_ms: Option<u32>,

    /// Milliseconds after which a connection without a request is closed. [default: 75000]
    #[arg(long, env = "OCELLUS_IDLE_TIMEOUT_MS", value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    idle_timeout_ms: Option<u32>,

    /// Milliseconds after which a connection is closed whose client reads nothing of a response. A
    /// client that reads slowly is served to the end. [default: 60000]
    #[arg(long, env = "OCELLUS_SEND_TIMEOUT_MS", value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    send_timeout_ms: Option<u32>,

    /// Ids that camera_group may have, separated by commas. [default: -1,1]
    #[arg(long, env = "OCELLUS_CAMERA_GROUPS", value_name = "IDS", value_delimiter = ',', allow_hyphen_values = true)]
    camera_groups: Option<Vec<i64>>,

    /// Ids that camera may have, separated by commas. [default: none]
    #[arg(long, env = "OCELLUS_CAMERAS", value_name = "IDS", value_delimiter = ',')]
    cameras: Option<Vec<i64>>,

    /// The only networks that url and router_url may lead to, separated by commas
    /// (10.0.0.0/8,fd00::/8). [default: all but link-local addresses, cloud metadata and this
    /// server itself]
    #[arg(long, env = "OCELLUS_ALLOW_NETWORK", value_name = "CIDR", value_delimiter = ',')]
    #[serde(deserialize_with = "networks")]
    allow_network: Option<Vec<Network>>,

    /// Settings of new videos where the client is silent: vendor, thorough (finds more, also what
    /// is small or far away), or a file of settings in JSON, as a client sends them. [default:
    /// vendor]
    #[arg(long, env = "OCELLUS_DEFAULTS", value_name = "FILE|vendor|thorough")]
    #[serde(deserialize_with = "from_text")]
    defaults: Option<Defaults>,

    /// Token sent to routers as "Authorization: Token …". [default: no such header]
    #[arg(long, env = "OCELLUS_ROUTER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    #[serde(deserialize_with = "from_text")]
    router_token: Option<RouterToken>,

    /// Secret with which posts to routers are signed by the Standard Webhooks specification:
    /// whsec_<base64>, 24 to 64 bytes. [default: not signed]
    #[arg(long, env = "OCELLUS_ROUTER_SIGNING_SECRET", value_name = "SECRET", hide_env_values = true)]
    #[serde(deserialize_with = "from_text")]
    router_signing_secret: Option<SigningSecret>,

    /// Hours for which an object is sent again to a router that does not accept it; after that only
    /// a user's retry sends it. [default: 24]
    #[arg(long, env = "OCELLUS_ROUTER_GIVE_UP_HOURS", value_name = "HOURS")]
    router_give_up_hours: Option<f64>,

    /// What happens when a plugin faults in a job: fail (the job ends), skip (the call keeps
    /// everything, and a new session goes on), restart (as skip, and the tracker's last state is
    /// restored). For single plugins by name: skip,deep_sort=restart. [default: fail]
    #[arg(long, env = "OCELLUS_ON_PLUGIN_FAULT", value_name = "POLICY")]
    #[serde(deserialize_with = "from_text")]
    on_plugin_fault: Option<FaultPolicy>,

    /// Faults in one job after which a plugin is switched off for that job. [default: 3]
    #[arg(long, env = "OCELLUS_PLUGIN_STRIKES", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    plugin_strikes: Option<u64>,

    /// Milliseconds that one call into a plugin may take. [default: 250]
    #[arg(long, env = "OCELLUS_PLUGIN_DEADLINE_MS", value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    plugin_deadline_ms: Option<u64>,

    /// Bytes of memory that one session of a plugin may use. [default: 67108864]
    #[arg(long, env = "OCELLUS_PLUGIN_MEMORY_BYTES", value_name = "BYTES")]
    plugin_memory_bytes: Option<usize>,

    /// Seconds that compiling a plugin may take. [default: 60]
    #[arg(long, env = "OCELLUS_PLUGIN_COMPILE_SECONDS", value_name = "S", value_parser = clap::value_parser!(u64).range(1..=3600))]
    plugin_compile_seconds: Option<u64>,

    /// Bytes of memory that the process which compiles a plugin may use, at least 268435456.
    /// [default: 2147483648]
    #[arg(long, env = "OCELLUS_PLUGIN_COMPILE_MEMORY_BYTES", value_name = "BYTES")]
    plugin_compile_memory_bytes: Option<u64>,

    /// Least severity that is logged (error, warn, info, debug, trace), for all or by module.
    /// [default: info]
    #[arg(long, env = "OCELLUS_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// Format of log lines. [default: text]
    #[arg(long, env = "OCELLUS_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

/// Configuration in effect: arguments, environment, file and defaults merged.
#[derive(Debug)]
pub(crate) struct Config {
    pub data: PathBuf,
    pub listen: ListenAddress,
    pub metrics_listen: Option<ListenAddress>,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub device: DeviceChoice,
    pub decoding: Decoding,
    /// `None`: the default of this system.
    pub isolation: Option<IsolationChoice>,
    pub decoder_limits: DecoderLimits,
    pub decoder_fault: Option<DecoderFault>,
    pub jobs: usize,
    pub plugins: Option<PathBuf>,
    pub detectors: Option<PathBuf>,
    pub embedders: Option<PathBuf>,
    pub attributes: Option<PathBuf>,
    pub onnxruntime: Option<PathBuf>,
    pub allow_network: Vec<Network>,
    pub defaults: Option<Value>,
    pub retention: Retention,
    /// Folder, and how long its files have to be unchanged.
    pub import: Option<(PathBuf, Duration)>,
    pub outbox: OutboxConfig,
    pub plugin_limits: Limits,
    pub log: String,
    pub log_format: LogFormat,
    pub connections: ConnectionLimits,
    pub api: ocellus_api::ApiConfig,
}

impl ServeArguments {
    pub(crate) fn resolve(self) -> Result<Config> {
        let Self { config, settings: given } = self;
        let data = given.data.clone().unwrap_or_else(|| PathBuf::from("ocellus-data"));
        let file = match config {
            Some(path) => read(&path)?,
            None => {
                let path = data.join("ocellus.toml");
                if path.exists() { read(&path)? } else { Settings::default() }
            }
        };
        let defaults = ocellus_api::ApiConfig::default();
        Ok(Config {
            data,
            listen: given.listen.or(file.listen).unwrap_or_else(|| ListenAddress::local(8000)),
            metrics_listen: given.metrics_listen.or(file.metrics_listen),
            tls: match (given.tls_cert.or(file.tls_cert), given.tls_key.or(file.tls_key)) {
                (Some(certificate), Some(key)) => Some((certificate, key)),
                (None, None) => None,
                (Some(_), None) => bail!("--tls-cert takes --tls-key, too: the certificate's private key"),
                (None, Some(_)) => bail!("--tls-key takes --tls-cert, too: the key's certificate"),
            },
            device: given.device.or(file.device).unwrap_or(DeviceChoice::Auto),
            decoding: given.decoding.or(file.decoding).unwrap_or_default(),
            isolation: given.isolation.or(file.isolation),
            decoder_limits: decoder_limits(given.decoder_memory_bytes.or(file.decoder_memory_bytes)),
            decoder_fault: given.decoder_fault,
            jobs: given.jobs.or(file.jobs).map_or(1, |n| usize::from(n.max(1))),
            plugins: given.plugins.or(file.plugins),
            detectors: given.detectors.or(file.detectors),
            embedders: given.embedders.or(file.embedders),
            attributes: given.attributes.or(file.attributes),
            onnxruntime: given.onnxruntime.or(file.onnxruntime),
            allow_network: given.allow_network.or(file.allow_network).unwrap_or_default(),
            defaults: given.defaults.or(file.defaults).unwrap_or_default().read()?,
            retention: Retention {
                max_age: given.keep_days.or(file.keep_days).map(|days| DAY * days.clamp(1, 36_500)),
                max_bytes: given.keep_bytes.or(file.keep_bytes),
                min_free: given.min_free_bytes.or(file.min_free_bytes).filter(|bytes| *bytes > 0),
            },
            import: {
                let quiet = given.import_quiet_ms.or(file.import_quiet_ms).unwrap_or(10_000);
                given.import.or(file.import).map(|dir| (dir, Duration::from_millis(quiet.max(10).into())))
            },
            plugin_limits: {
                let limits = Limits::default();
                let faults = given.on_plugin_fault.or(file.on_plugin_fault).unwrap_or_default();
                let max_faults = given.plugin_strikes.or(file.plugin_strikes).map_or(faults.max_faults, |n| n.max(1));
                let deadline = given.plugin_deadline_ms.or(file.plugin_deadline_ms);
                let compile_seconds = given.plugin_compile_seconds.or(file.plugin_compile_seconds);
                let compile_memory = given.plugin_compile_memory_bytes.or(file.plugin_compile_memory_bytes);
                let compile = CompileLimits {
                    time: compile_seconds.map_or(limits.compile.time, |s| Duration::from_secs(s.clamp(1, 3600))),
                    memory_bytes: compile_memory.map_or(limits.compile.memory_bytes, |bytes| bytes.max(256 << 20)),
                    ..limits.compile
                };
                Limits {
                    deadline: deadline.map_or(limits.deadline, |ms| Duration::from_millis(ms.max(1))),
                    memory_bytes: given.plugin_memory_bytes.or(file.plugin_memory_bytes).unwrap_or(limits.memory_bytes),
                    compile,
                    faults: FaultPolicy { max_faults, ..faults },
                    ..limits
                }
            },
            outbox: OutboxConfig {
                token: given.router_token.or(file.router_token),
                signing_secret: given.router_signing_secret.or(file.router_signing_secret),
                picture_urls: None,
                give_up_after: match given.router_give_up_hours.or(file.router_give_up_hours) {
                    Some(hours) => Duration::try_from_secs_f64(hours * 3600.0)
                        .with_context(|| format!("--router-give-up-hours {hours}: expected a number from 0"))?,
                    None => OutboxConfig::default().give_up_after,
                },
            },
            connections: {
                let limits = ConnectionLimits::default();
                let time = |ms: Option<u32>, default| ms.map_or(default, |ms| Duration::from_millis(ms.max(1).into()));
                ConnectionLimits {
                    connections: given
                        .max_connections
                        .or(file.max_connections)
                        .map_or(limits.connections, |n| n.max(2) as usize),
                    first_request: time(
                        given.first_request_timeout_ms.or(file.first_request_timeout_ms),
                        limits.first_request,
                    ),
                    idle: time(given.idle_timeout_ms.or(file.idle_timeout_ms), limits.idle),
                    send: time(given.send_timeout_ms.or(file.send_timeout_ms), limits.send),
                }
            },
            log: given.log.or(file.log).unwrap_or_else(|| "info,onnx_ir=warn".into()),
            log_format: given.log_format.or(file.log_format).unwrap_or_default(),
            api: ocellus_api::ApiConfig {
                max_upload_bytes: given.max_upload_bytes.or(file.max_upload_bytes),
                camera_groups: given.camera_groups.or(file.camera_groups).unwrap_or(defaults.camera_groups),
                cameras: given.cameras.or(file.cameras).unwrap_or(defaults.cameras),
                public_url: given.public_url.or(file.public_url),
                cors_origins: given.cors_origin.or(file.cors_origin).unwrap_or_default(),
                url_signer: None,
                https: false,
                log: defaults.log,
            },
        })
    }
}

fn read(path: &Path) -> Result<Settings> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the configuration file {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("the configuration file {} is wrong", path.display()))
}

fn from_text<'de, D: de::Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<Option<T>, D::Error> {
    String::deserialize(deserializer)?.parse().map(Some).map_err(de::Error::custom)
}

fn networks<'de, D: de::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Network>>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse()).collect::<Result<_, _>>().map(Some).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests;
